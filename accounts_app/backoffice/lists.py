"""Lists of things that are there by the hundred: searched by words, shown a page at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest

PAGE = 50
MAX_PAGE = 10_000
MAX_WORDS = 10


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list, without a count of the whole.

    Args:
        rows: what is shown.
        q: the words that were searched for.
        newer: the address of the page before, if there is one.
        older: the address of the page after.
    """

    rows: list[Any]
    q: str = ""
    newer: str = ""
    older: str = ""


def search(rows: QuerySet[Any], q: str, columns: Iterable[str]) -> QuerySet[Any]:
    """The rows in which each of these words stands in one of the columns, as plain text."""
    names = list(columns)
    for word in q.split()[:MAX_WORDS]:
        rows = rows.filter(reduce(or_, (Q(**{f"{name}__icontains": word}) for name in names)))
    return rows


def listed(request: HttpRequest, rows: QuerySet[Any], columns: Iterable[str] = ()) -> Listed:
    """The page of a list that the address asks for: `q` and `page`; nonsense is page 1."""
    q = request.GET.get("q", "").replace("\0", "").strip()[:200]
    if columns:
        rows = search(rows, q, columns)
    text = request.GET.get("page", "1")
    page = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 1
    page = min(max(page, 1), MAX_PAGE)
    start = (page - 1) * PAGE
    found = list(rows[start : start + PAGE + 1])
    return Listed(
        rows=found[:PAGE],
        q=q,
        newer=_address(request, page - 1) if page > 1 else "",
        older=_address(request, page + 1) if len(found) > PAGE else "",
    )


def _address(request: HttpRequest, page: int) -> str:
    query = request.GET.copy()
    query["page"] = str(page)
    return f"?{query.urlencode()}"
