"""Hours of a week as people write them: `mon-fri 08:00-18:00` (pure)."""

import datetime as dt
import re
from typing import Any, Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOW = "Write “08:00-18:00”, “mon-fri 08:00-18:00”, a list of such texts, or [8, 18]."
_SPAN: Final = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? )?"
    r"(?P<from>[0-9]{1,2})(?::(?P<from_minute>[0-9]{2}))?"
    r" ?[-–] ?(?P<to>[0-9]{1,2})(?::(?P<to_minute>[0-9]{2}))?"
)
_MINUTES: Final = 24 * 60


def check(hours: Any) -> None:
    """Refuse what names no hours.

    Raises:
        ValueError: saying how they are written.
    """
    if not _spans(hours):
        raise ValueError(HOW)


def covers(hours: Any, local: dt.datetime) -> bool:
    """Whether a local time lies in the hours; a span may go over midnight."""
    minute = local.hour * 60 + local.minute
    today, yesterday = local.weekday(), (local.weekday() - 1) % 7
    for days, start, end in _spans(hours):
        if start < end:
            if today in days and start <= minute < end:
                return True
        elif (today in days and minute >= start) or (yesterday in days and minute < end):
            return True
    return False


def _spans(hours: Any) -> list[tuple[frozenset[int], int, int]]:
    if isinstance(hours, str):
        return [_span(hours)]
    if not isinstance(hours, list) or not hours or len(hours) > 50:
        raise ValueError(HOW)
    numbers = [item for item in hours if isinstance(item, int) and not isinstance(item, bool)]
    if len(numbers) == len(hours) == 2:
        return [_span(f"{hours[0]}-{hours[1]}")]
    if all(isinstance(item, str) for item in hours):
        return [_span(item) for item in hours]
    raise ValueError(HOW)


def _span(text: str) -> tuple[frozenset[int], int, int]:
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(HOW)
    start = int(match["from"]) * 60 + int(match["from_minute"] or 0)
    end = int(match["to"]) * 60 + int(match["to_minute"] or 0)
    if start >= _MINUTES or end > _MINUTES or start == end:
        raise ValueError(HOW)
    if int(match["from_minute"] or 0) > 59 or int(match["to_minute"] or 0) > 59:
        raise ValueError(HOW)
    first, last = match["first"], match["last"] or match["first"]
    if first is None:
        return frozenset(range(7)), start, end
    if first not in DAYS or last not in DAYS:
        raise ValueError(HOW)
    begin, length = DAYS.index(first), (DAYS.index(last) - DAYS.index(first)) % 7
    return frozenset((begin + step) % 7 for step in range(length + 1)), start, end
