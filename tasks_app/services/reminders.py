"""When a pending task is due, and when its reviewers are reminded before."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from accounts_app.errors import FieldError, Invalid
from integrations_app.policies import parse_timeout

MAX_REMINDERS = 10


def parse_reminders(raw: Any, timeout: float | None, field: str) -> list[float]:
    """Read how many seconds before the deadline somebody is reminded, longest first.

    Args:
        raw: the body's member.
        timeout: the task's own time-out; without one there is nothing to remind of.
        field: its name, for errors.

    Raises:
        Invalid: no list of numbers of seconds, each shorter than the time-out.
    """
    if raw is None or raw == []:
        return []
    if not isinstance(raw, list) or len(raw) > MAX_REMINDERS:
        _refuse(field, f"Must be a list of at most {MAX_REMINDERS} numbers of seconds.")
    if timeout is None:
        _refuse(field, "A task without timeout_seconds has no deadline to remind of.")
    found = set()
    for index, item in enumerate(raw):
        seconds = parse_timeout(item, f"{field}.{index}")
        if seconds is None or seconds >= timeout:
            _refuse(f"{field}.{index}", "Must be shorter than timeout_seconds.")
        found.add(seconds)
    return sorted(found, reverse=True)


def first_times(
    now: dt.datetime, columns: Mapping[str, Any]
) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The deadline of a new task and its first reminder."""
    seconds = columns["timeout_seconds"]
    if seconds is None:
        return None, None
    due_at = now + dt.timedelta(seconds=seconds)
    return due_at, next_reminder(due_at, columns.get("remind_before_seconds", ()), after=now)


def next_reminder(
    due_at: dt.datetime | None, before_seconds: Sequence[float], *, after: dt.datetime
) -> dt.datetime | None:
    """The first reminder that lies after a moment, if one does."""
    if due_at is None:
        return None
    times = sorted(due_at - dt.timedelta(seconds=seconds) for seconds in before_seconds)
    return next((time for time in times if time > after), None)


def _refuse(field: str, detail: str) -> NoReturn:
    raise Invalid([FieldError(field, "invalid_value", detail)])
