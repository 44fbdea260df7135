"""The terminal move of a task: one statement wins, whoever races for it (promise 2)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts_app.clock import DbNow, db_now, utc_text
from accounts_app.errors import Conflict, PreconditionRequired
from accounts_app.moves import advance_together
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit
from accounts_app.states import Channel
from integrations_app.models import Run
from integrations_app.services.hooks import RunsEnded
from integrations_app.services.outbox import announce_all
from tasks_app.kinds import CheckedAnswer
from tasks_app.models import Decision, UserTask
from tasks_app.states import TASK_MOVES, About, CancelReason, Kind, TaskStatus
from tasks_app.summaries import event_data

register_verbs(
    {
        "task.created": "asked for a decision",
        "task.completed": "decided",
        "task.timed_out": "nobody decided in time",
        "task.cancelled": "dropped the task",
        "task.changed": "changed what is decided on",
    }
)


# What belongs to a pending task alone goes with the move that ends it.
NO_LONGER_OPEN: dict[str, Any] = {
    "claimed_by": None,
    "claim_token": None,
    "claim_expires_at": None,
    "next_reminder_at": None,
    "question": None,
}


def subject_of(task: UserTask) -> tuple[str, object, str]:
    """How the audit trail names a task."""
    return ("task", task.pk, task.title)


def complete(unit: Unit, actor: Actor, task: UserTask, checked: CheckedAnswer, **more: Any) -> bool:
    """Complete a pending task whose deadline has not passed.

    Args:
        unit: the transaction.
        actor: who decides.
        task: as it was read under the run's lock; its revision must still be the row's.
        checked: the answer.
        more: further columns, for instance `metadata`, and `on_behalf_of` as claimed.

    Returns:
        Whether this act won.
    """
    by = {**actor.as_json(), "on_behalf_of": more.pop("on_behalf_of", None)}
    rows = UserTask.objects.filter(revision=task.revision)
    open_rows = rows.filter(due_at__isnull=True) | rows.filter(due_at__gt=DbNow())
    columns = {
        "action": checked.action.name,
        "value": checked.value,
        "comment": checked.comment,
        "decided_by": by,
        "channel": actor.channel,
        **more,
    }
    moved = _end(unit, [task], open_rows, TaskStatus.COMPLETED, columns)
    if moved:
        facts = {"action": checked.action.name, "revision": task.revision, "digest": task.digest}
        _record(unit, actor, [task], "decided", "task.completed", [facts], decided_by=by)
    return moved


def time_out(
    unit: Unit, actor: Actor, tasks: Sequence[UserTask], default: CheckedAnswer | None
) -> bool:
    """Complete tasks of one workspace whose deadline has passed; whether this act won.

    Args:
        unit: the transaction.
        actor: Assent itself.
        tasks: as they were read under their runs' locks.
        default: the action that an admin or the creator chose for the time-out, if any.

    Raises:
        PartlyMoved: somebody else had ended some of them.
    """
    by = None if default is None else {**actor.as_json(), "on_behalf_of": None}
    columns = {
        "timed_out": True,
        "action": default.action.name if default else None,
        "decided_by": by,
        "channel": Channel.SYSTEM,
    }
    due = UserTask.objects.filter(due_at__lte=DbNow())
    moved = _end(unit, tasks, due, TaskStatus.COMPLETED, columns)
    if moved:
        facts = [{"action": columns["action"], "due_at": utc_text(task.due_at)} for task in tasks]
        _record(unit, actor, tasks, "timed_out", "task.timed_out", facts, decided_by=by)
    return moved


def cancel(
    unit: Unit, actor: Actor, task: UserTask, reason: CancelReason, comment: str = ""
) -> bool:
    """Drop a pending task, as it was read under the run's lock; returns whether this act won."""
    by = {**actor.as_json(), "on_behalf_of": None}
    columns = {
        "cancelled_reason": reason,
        "comment": comment or None,
        "decided_by": by,
        "channel": actor.channel,
    }
    moved = _end(unit, [task], UserTask.objects.all(), TaskStatus.CANCELLED, columns)
    if moved:
        facts = {"reason": reason.value}
        _record(unit, actor, [task], "cancelled", "task.cancelled", [facts], decided_by=by)
    return moved


def _end(
    unit: Unit,
    tasks: Sequence[UserTask],
    rows: QuerySet[UserTask],
    status: TaskStatus,
    columns: Mapping[str, Any],
) -> bool:
    """Make the terminal move in the database, and then on the objects in hand."""
    written = {**columns, **NO_LONGER_OPEN, "completed_at": unit.now, "updated_at": unit.now}
    ids = [task.pk for task in tasks]
    if not advance_together(ids, rows, TASK_MOVES, status, **written):
        return False
    for task in tasks:
        for name, value in {"status": status, **written}.items():
            setattr(task, name, value)
    return True


def _record(
    unit: Unit,
    actor: Actor,
    tasks: Sequence[UserTask],
    act: str,
    event: str,
    facts: Sequence[Mapping[str, Any]],
    *,
    decided_by: Mapping[str, Any] | None,
) -> None:
    """For each task one decision row, one audit entry, one event; `facts` are in their order."""
    Decision.objects.bulk_create(
        [
            Decision(
                workspace_id=task.workspace_id,
                created_at=unit.now,
                task=task,
                act=act,
                action=task.action,
                revision=task.revision,
                digest=task.digest,
                decided_by=decided_by,
                channel=actor.channel,
            )
            for task in tasks
        ]
    )
    for task, each in zip(tasks, facts, strict=True):
        unit.audit(actor, event, subject_of(task), each)
        unit.wake(task.pk, task.run_id)
    told = [(task.pk, event_data(task)) for task in tasks]
    announce_all(unit, actor.workspace_id, event, told)


def ending_with(runs: Collection[UUID] | QuerySet[Run]) -> QuerySet[UserTask]:
    """The pending tasks that are dropped when these runs end; what asks about the past stays."""
    rows = UserTask.objects.pending().filter(run__in=runs, survive_parent_close=False)
    return rows.exclude(kind=Kind.ANOMALY_ALERT).exclude(about=About.OUTCOME)


def drop_with_runs(unit: Unit, actor: Actor, ended: RunsEnded) -> None:
    """Cancel the pending tasks of runs that end (promise 7)."""
    rows = ending_with(ended.run_ids)
    rows = rows.select_related("agent", "tool_call__operation__integration")
    for task in rows.order_by("pk"):
        cancel(unit, actor, task, CancelReason(ended.reason.value), ended.comment)


def refuse_closed(task: UserTask) -> None:
    """Tell a loser who, what and when.

    Raises:
        Conflict: `already_completed`, `already_cancelled` or `deadline_passed`.
    """
    if task.status == TaskStatus.PENDING:
        return
    when = task.completed_at.strftime("%Y-%m-%d %H:%M:%S UTC") if task.completed_at else ""
    if task.timed_out:
        raise Conflict(f"The task timed out at {when}.", code="deadline_passed")
    if task.status == TaskStatus.CANCELLED:
        reason = CancelReason(task.cancelled_reason).label
        raise Conflict(f"The task was cancelled at {when}: {reason}.", code="already_cancelled")
    by = (task.decided_by or {}).get("name", "somebody")
    raise Conflict(f"Already {task.action!r} by {by} at {when}.", code="already_completed")


def check_open(task: UserTask) -> None:
    """Refuse to act on a task that had its end, or whose deadline has passed.

    Raises:
        Conflict: `already_completed`, `already_cancelled` or `deadline_passed`.
    """
    refuse_closed(task)
    if task.due_at is not None and task.due_at <= db_now():
        when = task.due_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        raise Conflict(f"The deadline passed at {when}.", code="deadline_passed")


def check_revision(task: UserTask, revision: int | None, *, always: bool = False) -> None:
    """Refuse whoever looked at something else than what would be decided on.

    Args:
        task: as it is now.
        revision: what they looked at, if they said so.
        always: a revision must be sent even where nothing has changed yet.

    Raises:
        PreconditionRequired: none was sent where one is needed.
        Conflict: `stale_revision`, with the present work.
    """
    if revision is None and (always or task.revision > 1):
        text = f"Look at what is decided on and send its `revision`, at present {task.revision}."
        raise PreconditionRequired(text)
    if revision is not None and revision != task.revision:
        text = f"You looked at revision {revision}; the present one is {task.revision}."
        facts = {"revision": task.revision, "draft": task.draft}
        raise Conflict(text, code="stale_revision", facts=facts)


def pending_in(run_ids: Collection[UUID]) -> QuerySet[Any, UUID]:
    """The blocking tasks that are pending in these runs, each as its run's id."""
    rows = UserTask.objects.pending().filter(run__in=run_ids).exclude(kind=Kind.ANOMALY_ALERT)
    return rows.order_by().values_list("run_id", flat=True)
