"""Exact figures about the tasks that an actor may see."""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, DurationField, ExpressionWrapper, F, Q, QuerySet

from accounts_app.scoping import Actor
from tasks_app.models import UserTask
from tasks_app.states import TaskStatus


@dataclass(frozen=True, slots=True)
class Stats:
    """How many tasks there are, by what became of them; `completed` without the timed-out."""

    pending: int
    completed: int
    timed_out: int
    cancelled: int
    median_seconds_to_decision: float | None

    @property
    def total(self) -> int:
        return self.pending + self.completed + self.timed_out + self.cancelled


def task_stats(
    actor: Actor, since: dt.datetime, until: dt.datetime, *, agent: str = "", participant: str = ""
) -> Stats:
    """Count the tasks that were created from `since` on and before `until`.

    Args:
        actor: who asks.
        since: inclusive.
        until: exclusive.
        agent: only of the agent with this slug.
        participant: only of this participant, whatever the case.
    """
    rows: QuerySet[UserTask] = UserTask.objects.visible_to(actor)
    rows = rows.filter(created_at__gte=since, created_at__lt=until)
    if agent:
        rows = rows.filter(agent__slug=agent)
    if participant:
        rows = rows.filter(participant__iexact=participant)
    decided = Q(status=TaskStatus.COMPLETED, timed_out=False)
    counts = rows.aggregate(
        pending=Count("pk", filter=Q(status=TaskStatus.PENDING)),
        completed=Count("pk", filter=decided),
        timed_out=Count("pk", filter=Q(status=TaskStatus.COMPLETED, timed_out=True)),
        cancelled=Count("pk", filter=Q(status=TaskStatus.CANCELLED)),
    )
    median = _median(rows.filter(decided), counts["completed"])
    return Stats(**counts, median_seconds_to_decision=median)


def _median(rows: QuerySet[UserTask], number: int) -> float | None:
    """The median of the times to a decision, in seconds; two rows are read, however many match."""
    if not number:
        return None
    took = ExpressionWrapper(F("completed_at") - F("created_at"), output_field=DurationField())
    times = rows.annotate(took=took).order_by("took").values_list("took", flat=True)
    middle = list(times[(number - 1) // 2 : number // 2 + 1])
    seconds: list[float] = [time.total_seconds() for time in middle]
    return round(sum(seconds) / len(seconds), 6)
