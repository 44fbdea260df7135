"""How long a run waited for people."""

import datetime as dt
from uuid import UUID

from tasks_app.models import UserTask
from tasks_app.states import NEVER_BLOCKING


def seconds_for_people(run_id: UUID, now: dt.datetime) -> float:
    """The time in which at least one blocking task of the run was pending, in seconds.

    Tasks that wait at the same time count once, so that this is never longer than the run.

    Args:
        run_id: which run.
        now: the database's time, until which a pending task counts.
    """
    rows = UserTask.objects.filter(run=run_id).exclude(kind__in=NEVER_BLOCKING)
    waited, until = dt.timedelta(), dt.datetime.min.replace(tzinfo=dt.UTC)
    for asked, answered in rows.order_by("created_at").values_list("created_at", "completed_at"):
        end = answered or now
        waited += max(end - max(asked, until), dt.timedelta())
        until = max(until, end)
    return waited.total_seconds()
