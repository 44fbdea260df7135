"""What the address of the Approvals page asks for; anything else in it is passed over, aloud."""

import base64
import binascii
import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.utils import timezone

from accounts_app.clock import in_utc
from tasks_app.scoping import NEVER
from tasks_app.selectors import COMPLETED, PENDING, SORTS, Wanted
from tasks_app.states import GROUPS

TABS = {PENDING: "Pending", COMPLETED: "Completed"}
KINDS = {
    "": "All kinds",
    "approvals": "Approvals",
    "aitl": "AITL escalations",
    "anomaly": "Anomaly",
    "input": "Inputs",
}
FLAGS = {
    "": "Any",
    "claimed": "Claimed by me",
    "overdue": "Past their deadline",
    "unknown": "Outcome unknown",
    "unroutable": "Nobody can decide",
}
SORT_LABELS = {"oldest": "Longest waiting", "due": "Deadline", "newest": "Newest"}
MAX_TEXT = 200


def wanted_of(query: QueryDict) -> Wanted:
    """Read the address; a value that is none of ours reads as not given."""
    tab = query.get("tab", PENDING)
    tab = tab if tab in TABS else PENDING
    group, flag = query.get("kind", ""), query.get("flag", "")
    sort = query.get("sort", "")
    fallback = "decided" if tab == COMPLETED else "oldest"
    return Wanted(
        tab=tab,
        group=group if group in GROUPS else "",
        agent=_text(query, "agent"),
        person=_text(query, "person"),
        text=_text(query, "q"),
        since=_day(query.get("from", ""), 0),
        until=_day(query.get("to", ""), 1),
        flag=flag if flag in FLAGS and tab == PENDING else "",
        sort=sort if sort in SORT_LABELS and tab == PENDING else fallback,
    )


def _text(query: QueryDict, name: str) -> str:
    return query.get(name, "").replace("\0", "").strip()[:MAX_TEXT]


def _day(text: str, days_later: int) -> dt.datetime | None:
    """The start of a day in the reader's zone."""
    try:
        day = dt.date.fromisoformat(text) + dt.timedelta(days=days_later)
        return in_utc(timezone.make_aware(dt.datetime.combine(day, dt.time())))
    except (ValueError, OverflowError):
        return None


READ: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "tab": ("the tab", TABS.__contains__),
    "kind": ("the kind", GROUPS.__contains__),
    "flag": ("the choice “only”", FLAGS.__contains__),
    "sort": ("the order", SORT_LABELS.__contains__),
    "from": ("the day “from”", lambda text: _day(text, 0)),
    "to": ("the day “until”", lambda text: _day(text, 1)),
    "after": ("the place in the list", lambda text: after_of(text)),
}
"""What `wanted_of` reads, in the words of people, and how."""


def is_filtered(wanted: Wanted) -> bool:
    """Whether anything but the tab and the order narrows the list."""
    bare = Wanted(tab=wanted.tab, sort=wanted.sort)
    return wanted != bare


def link_with(query: QueryDict, **changes: str) -> str:
    """The same page with other parameters; the place in the list is forgotten."""
    kept = {name: query.get(name, "") for name in query if name != "after"}
    return "?" + urlencode({name: text for name, text in {**kept, **changes}.items() if text})


def after_of(text: str) -> tuple[dt.datetime, UUID] | None:
    """Where a stretch of the list begins; None for the top, or for what we did not write."""
    try:
        moment, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        given = dt.datetime.fromisoformat(moment)
        return (in_utc(given), UUID(key)) if given.tzinfo else None
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        return None


def after_text(row: Any, sort: str) -> str:
    """The place after this row."""
    column = SORTS[sort].lstrip("-")
    moment = row.due_at or NEVER if column == "due_or_never" else getattr(row, column)
    parts = json.dumps([moment.isoformat(), str(row.pk)])
    return base64.urlsafe_b64encode(parts.encode()).decode().rstrip("=")


def tab_links(query: QueryDict, wanted: Wanted) -> list[Mapping[str, Any]]:
    return [
        {
            "label": label,
            "link": link_with(query, tab="" if tab == PENDING else tab, sort="", flag=""),
            "is_current": tab == wanted.tab,
        }
        for tab, label in TABS.items()
    ]


def kind_links(
    query: QueryDict, wanted: Wanted, counts: Mapping[str, int], more: bool
) -> list[Mapping[str, Any]]:
    return [
        {
            "label": label,
            "link": link_with(query, kind=name),
            "is_current": name == wanted.group,
            "count": f"{counts[name]}{'+' if more and counts[name] else ''}" if counts else "",
        }
        for name, label in KINDS.items()
    ]


def without_group(wanted: Wanted) -> Wanted:
    return replace(wanted, group="")
