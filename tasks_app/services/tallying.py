"""Counts what became of tasks, an hour at a time, so that the Dashboard need not read them all.

An hour is counted once, some minutes after its end: what is decided stays as it is, and no
transaction is open for so long. Any number of sweepers may try; one of them moves the mark.
"""

import datetime as dt
from collections import Counter, defaultdict
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts_app.clock import db_now
from accounts_app.models import Workspace, new_id
from tasks_app.figures import count, counted
from tasks_app.models import DecidedHour, DecidedMark, UserTask
from tasks_app.states import TaskStatus

HOUR = dt.timedelta(hours=1)
LAG = dt.timedelta(minutes=5)
KEPT = dt.timedelta(days=16)
HOURS_AT_ONCE = 100
CHUNK = 2000


def tally() -> int:
    """Count the hours that are over; of how many something was decided, in all workspaces.

    After a long time without, a hundred such hours of each workspace are counted, and the others
    the next time.
    """
    end = hour_of(db_now() - LAG)
    fresh = DecidedMark.objects.filter(until__gte=end).values("workspace")
    late = Workspace.objects.exclude(pk__in=fresh).values_list("pk", flat=True)
    return sum(_catch_up(pk, end) for pk in late)


def hour_of(moment: dt.datetime) -> dt.datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _catch_up(workspace_id: UUID, end: dt.datetime) -> int:
    oldest = end - KEPT
    mark, _ = DecidedMark.objects.get_or_create(
        workspace_id=workspace_id, defaults={"until": oldest}
    )
    hour, done = max(mark.until, oldest), 0
    if hour > mark.until and not _move(workspace_id, mark.until, hour):
        return 0
    while hour < end and done < HOURS_AT_ONCE:
        busy = _next_busy(workspace_id, hour, end)
        if busy > hour and not _move(workspace_id, hour, busy):
            break
        if busy < end and not _count_hour(workspace_id, busy):
            break
        hour, done = busy + HOUR, done + (busy < end)
    DecidedHour.objects.in_workspace(workspace_id).filter(hour__lt=oldest).delete()
    return done


def _next_busy(workspace_id: UUID, hour: dt.datetime, end: dt.datetime) -> dt.datetime:
    """The first hour from this one on in which something was decided; the end without any."""
    rows = UserTask.objects.in_workspace(workspace_id).exclude(status=TaskStatus.PENDING)
    ended = rows.filter(completed_at__gte=hour, completed_at__lt=end).order_by("completed_at")
    first = ended.values_list("completed_at", flat=True).first()
    return end if first is None else hour_of(first)


def _move(workspace_id: UUID, at: dt.datetime, until: dt.datetime) -> bool:
    """Move the mark from where it was; false where another sweeper has."""
    return bool(DecidedMark.objects.filter(pk=workspace_id, until=at).update(until=until))


def _count_hour(workspace_id: UUID, hour: dt.datetime) -> bool:
    with transaction.atomic():
        # First, because it holds the others up until this hour is written.
        if not _move(workspace_id, hour, hour + HOUR):
            return False
        rows = UserTask.objects.in_workspace(workspace_id).exclude(status=TaskStatus.PENDING)
        ended = rows.filter(completed_at__gte=hour, completed_at__lt=hour + HOUR)
        counts: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
        read = counted(ended.order_by(), "agent_id", "kind", "named")
        for agent_id, kind, named, *found in read.iterator(chunk_size=CHUNK):
            count(counts[agent_id, kind, named], found)
        DecidedHour.objects.bulk_create(
            DecidedHour(
                pk=new_id(),
                workspace_id=workspace_id,
                created_at=hour,
                hour=hour,
                agent_id=agent_id,
                kind=kind,
                named=named,
                **numbers,
            )
            for (agent_id, kind, named), numbers in counts.items()
        )
    return True
