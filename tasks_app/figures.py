"""How decided tasks are counted: what became of each, and how long it took, in bands.

Bands grow by half, so that a median comes from counts alone, a fifth beside the truth at worst.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from tasks_app.states import TaskStatus

LET_THROUGH, STOPPED = "let_through", "stopped"
TIMED_OUT, CANCELLED = "timed_out", "cancelled"
OUTCOMES = {
    LET_THROUGH: "Let through or answered",
    STOPPED: "Stopped",
    TIMED_OUT: "Timed out",
    CANCELLED: "Cancelled",
}
FIRST_SECONDS, GROWTH, BANDS = 5.0, 1.5, 33
"""The last band is open: it begins at three weeks."""

COLUMNS = (*OUTCOMES, *(f"band_{band}" for band in range(BANDS)))
READ = ("status", "timed_out", "action", "offered", "created_at", "completed_at")


def counted(rows: QuerySet[Any], *more: str) -> QuerySet[Any, Any]:
    """What `count` reads of decided tasks, and `more` before it."""
    # As text: most tasks offer the same actions, which are then read once and not each time.
    offered = rows.annotate(offered=Cast("actions", TextField()))
    found: QuerySet[Any, Any] = offered.values_list(*more, *READ)
    return found


def count(into: Counter[str], found: Sequence[Any]) -> None:
    """Count one task, of which `counted` read this."""
    status, timed_out, action, offered, created_at, completed_at = found
    if status == TaskStatus.CANCELLED:
        into[CANCELLED] += 1
    elif timed_out:
        into[TIMED_OUT] += 1
    else:
        into[STOPPED if _stops(offered, action) else LET_THROUGH] += 1
        into[f"band_{band_of((completed_at - created_at).total_seconds())}"] += 1


@lru_cache(maxsize=512)
def _stops(offered: str, action: str | None) -> bool:
    """Whether this action, of those that a task offered as JSON text, stops something."""
    chosen = [item for item in json.loads(offered) if item["name"] == action]
    return any(item.get("effect") == "stop" or item.get("style") == "danger" for item in chosen)


def band_of(seconds: float) -> int:
    if seconds < FIRST_SECONDS:
        return 0
    return min(BANDS - 1, 1 + int(math.log(seconds / FIRST_SECONDS, GROWTH)))


def median_seconds(counts: Mapping[str, int]) -> float | None:
    """About the median of the times that were counted; None where there are none."""
    numbers = [counts.get(f"band_{band}", 0) for band in range(BANDS)]
    middle, before = sum(numbers) / 2, 0
    for band, number in enumerate(numbers):
        if number and before + number >= middle:
            return _within(band, (middle - before) / number)
        before += number
    return None


def _within(band: int, share: float) -> float:
    """The time at this share of a band; long ones are spread as widely as the band is."""
    if band == 0:
        return FIRST_SECONDS * share
    return FIRST_SECONDS * math.pow(GROWTH, band - 1 + share)
