"""Keyset paging: stable while rows arrive, and never a count (the contract's “lists”)."""

import base64
import binascii
import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request

from accounts_app.clock import in_utc
from accounts_app.errors import FieldError, Invalid

M = TypeVar("M", bound=Model)
DEFAULT_LIMIT, MAX_LIMIT = 20, 100


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by, made unique by the primary key.

    Args:
        column: the name of a date-time column or annotation that is never null.
        descending: newest first.
    """

    column: str
    descending: bool

    def fields(self, *, backwards: bool) -> list[str]:
        sign = "-" if self.descending != backwards else ""
        return [f"{sign}{self.column}", f"{sign}pk"]


NEWEST_FIRST = Order("created_at", descending=True)


def page_of(
    request: Request,
    rows: QuerySet[M],
    show: Callable[[M], dict[str, Any]],
    order: Order = NEWEST_FIRST,
) -> dict[str, Any]:
    """One page of a list.

    Args:
        request: whose `cursor` and `limit` are read.
        rows: the visible, filtered rows.
        show: turns a row into its representation.
        order: the order of the list.

    Raises:
        Invalid: a limit outside 1 to 100, or a cursor that is none of ours.
    """
    limit = _limit(request.query_params.get("limit"))
    cursor = request.query_params.get("cursor")
    backwards, position = _decode(cursor, order) if cursor is not None else (False, None)
    if position is not None:
        rows = _beyond(rows, order, backwards, position)
    found = list(rows.order_by(*order.fields(backwards=backwards))[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    if backwards:
        found.reverse()
    has_next = more if not backwards else True
    has_previous = more if backwards else position is not None
    return {
        "results": [show(row) for row in found],
        "next": _link(request, found[-1:], order, False) if has_next else None,
        "previous": _link(request, found[:1], order, True) if has_previous else None,
    }


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of rows of a list that several kinds make up.

    Args:
        rows: the visible rows.
        column: the name of its date-time column.
        show: turns a row into its representation.
    """

    rows: QuerySet[Any]
    column: str
    show: Callable[[Any], dict[str, Any]]


def merged_page(request: Request, sources: Sequence[Source]) -> dict[str, Any]:
    """One page of rows of several kinds, oldest first.

    Raises:
        Invalid: a limit outside 1 to 100, or a cursor that is none of ours.
    """
    limit = _limit(request.query_params.get("limit"))
    cursor = request.query_params.get("cursor")
    order = Order("at", descending=False)
    backwards, position = _decode(cursor, order) if cursor is not None else (False, None)
    found: list[tuple[dt.datetime, UUID, Source, Any]] = []
    for source in sources:
        own = Order(source.column, descending=False)
        rows = source.rows if position is None else _beyond(source.rows, own, backwards, position)
        taken = rows.order_by(*own.fields(backwards=backwards))[: limit + 1]
        found += [(getattr(row, source.column), row.pk, source, row) for row in taken]
    found.sort(key=lambda item: item[:2], reverse=backwards)
    more, found = len(found) > limit, found[:limit]
    if backwards:
        found.reverse()
    has_next = more if not backwards else True
    has_previous = more if backwards else position is not None
    edges = [(at, pk) for at, pk, _, _ in found]
    return {
        "results": [source.show(row) for _, _, source, row in found],
        "next": _link_at(request, edges[-1:], order, False) if has_next else None,
        "previous": _link_at(request, edges[:1], order, True) if has_previous else None,
    }


def _beyond(
    rows: QuerySet[M], order: Order, backwards: bool, position: tuple[dt.datetime, UUID]
) -> QuerySet[M]:
    """The rows on the far side of a cursor's position."""
    forward = "lt" if order.descending != backwards else "gt"
    moment, key = position
    return rows.filter(
        Q(**{f"{order.column}__{forward}": moment})
        | Q(**{order.column: moment, f"pk__{forward}": key})
    )


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise Invalid([FieldError("limit", "invalid_value", f"Must be from 1 to {MAX_LIMIT}.")])


def _link(request: Request, edge: Sequence[Model], order: Order, backwards: bool) -> str | None:
    edges = [(getattr(row, order.column), row.pk) for row in edge]
    return _link_at(request, edges, order, backwards)


def _link_at(
    request: Request, edge: Sequence[tuple[dt.datetime, UUID]], order: Order, backwards: bool
) -> str | None:
    if not edge:
        return None
    params = request.query_params.copy()
    params["cursor"] = _encode(*edge[0], order, backwards)
    return request.build_absolute_uri(f"{request.path}?{params.urlencode()}")


def _encode(moment: dt.datetime, pk: UUID, order: Order, backwards: bool) -> str:
    parts = [order.column, int(order.descending), int(backwards), moment.isoformat(), str(pk)]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _decode(text: str, order: Order) -> tuple[bool, tuple[dt.datetime, UUID]]:
    try:
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        column, descending, backwards, moment, key = parts
        if (column, bool(descending)) != (order.column, order.descending):
            raise ValueError("another ordering")
        given = dt.datetime.fromisoformat(moment)
        if given.tzinfo is None:
            raise ValueError("no time zone")
        position = in_utc(given), UUID(key)
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
        detail = "Use the `next` or `previous` of an answer as it is."
        raise Invalid([FieldError("cursor", "invalid_value", detail)]) from error
    return bool(backwards), position
