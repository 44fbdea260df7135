"""Lists of things that are there by the hundred: searched by words, shown a page at a time."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest

PAGE = 50
MAX_PAGE = 10_000
MAX_WORDS = 10
MAX_SAID = 40


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


def say_unread(request: HttpRequest, known: Mapping[str, tuple[str, Callable[[str], Any]]]) -> None:
    """Say what of the address was passed over because it cannot be read; the rest holds.

    Args:
        request: of a whole page, so that it is said there and not on the next one.
        known: by the name in the address, what people call it, and whether a text can be read.
    """
    unread = [
        f"{label} “{_printable(text)}”"
        for name, (label, reads) in known.items()
        if (text := request.GET.get(name, "")) and not reads(text)
    ]
    if unread:
        messages.warning(
            request,
            f"Passed over in the address, because it cannot be read: {', '.join(unread)}."
            " Everything else in it holds.",
        )


def _printable(text: str) -> str:
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return shown if len(shown) <= MAX_SAID else f"{shown[:MAX_SAID]}…"


def search(rows: QuerySet[Any], q: str, columns: Iterable[str]) -> QuerySet[Any]:
    """The rows in which each of these words stands in one of the columns, as plain text."""
    names = list(columns)
    for word in q.split()[:MAX_WORDS]:
        rows = rows.filter(reduce(or_, (Q(**{f"{name}__icontains": word}) for name in names)))
    return rows


def listed(request: HttpRequest, rows: QuerySet[Any], columns: Iterable[str] = ()) -> Listed:
    """The page of a list that the address asks for: `q` and `page`.

    A page that is nonsense, or lies behind the end, is page 1, and that is said.
    """
    q = request.GET.get("q", "").replace("\0", "").strip()[:200]
    if columns:
        rows = search(rows, q, columns)
    page = _page_of(request.GET.get("page", ""))
    found = _stretch(rows, page or 1)
    if page and page > 1 and not found:
        page, found = None, _stretch(rows, 1)
    is_read = page is not None
    say_unread(request, {"page": ("the page", lambda _: is_read)})
    page = page or 1
    return Listed(
        rows=found[:PAGE],
        q=q,
        newer=_address(request, page - 1) if page > 1 else "",
        older=_address(request, page + 1) if len(found) > PAGE else "",
    )


def _page_of(text: str) -> int | None:
    """The number of a page; None for what is none."""
    is_number = text.isascii() and text.isdigit() and len(text) < 6
    return int(text) if is_number and 1 <= int(text) <= MAX_PAGE else None


def _stretch(rows: QuerySet[Any], page: int) -> list[Any]:
    start = (page - 1) * PAGE
    return list(rows[start : start + PAGE + 1])


def _address(request: HttpRequest, page: int) -> str:
    query = request.GET.copy()
    query["page"] = str(page)
    return f"?{query.urlencode()}"
