"""Sessions and runs end, and everything in flight ends with them (promise 7)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts_app.errors import Conflict
from accounts_app.links import page_url
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app.models import Run, Session, ToolCall
from integrations_app.services.finishing import cancel_unsent
from integrations_app.services.hooks import RunsEnded, hooks
from integrations_app.services.locks import (
    lock_active_session,
    lock_open_run,
    lock_runs,
    lock_session,
)
from integrations_app.services.outbox import announce
from integrations_app.states import (
    CALL_OPEN,
    RUN_MOVES,
    RUN_OPEN,
    SESSION_MOVES,
    CallStatus,
    EndReason,
    RunStatus,
    SessionStatus,
)

register_verbs(
    {
        "session.ended": "ended the session",
        "session.terminated": "terminated the session",
        "run.completed": "completed the run",
        "run.failed": "failed the run",
        "run.terminated": "terminated the run",
    }
)


@dataclass(frozen=True, slots=True)
class LastWords:
    """What is said when a run ends.

    Args:
        output: what a completed run says, JSON.
        error: what a failed run says, JSON.
        comment: the given reason, kept with what is dropped.
    """

    output: Any = None
    error: Any = None
    comment: str = ""


def end_run(actor: Actor, run: Run, status: RunStatus, read: Callable[[], LastWords]) -> Run:
    """End a run; its open child runs are terminated, and what they wait for is dropped.

    Args:
        actor: whose credential.
        run: which run.
        status: completed, failed or terminated.
        read: reads what is said; asked only while the run is open.

    Raises:
        Conflict: `run_ended`, it had ended before.
    """
    with unit_of_work() as unit:
        # New runs need the session's lock, so that none slips in between.
        lock_session(run.session_id)
        children = _open_descendants(run.pk)
        lock_runs([run.pk, *children])
        lock_open_run(run.pk)
        said = read()
        comment = said.comment
        moved = advance(
            Run.objects.filter(pk=run.pk),
            RUN_MOVES,
            status,
            output=said.output,
            error=said.error,
            ended_at=unit.now,
        )
        if not moved:
            raise Conflict("The run has ended.", code="run_ended")
        _note_end(unit, actor, run, status, comment)
        _drop(unit, actor, RunsEnded([run.pk], EndReason.RUN_ENDED, comment))
        _end_runs(unit, actor, children, RunStatus.TERMINATED, EndReason.PARENT_ENDED, comment)
    run.refresh_from_db()
    return run


def end_session(
    actor: Actor, session: Session, status: SessionStatus, read: Callable[[], str]
) -> Session:
    """End or terminate a session with all its runs, in one transaction.

    Args:
        actor: who ends it.
        session: which session.
        status: ended or terminated.
        read: reads the reason; asked only while the session is active.

    Raises:
        Conflict: `session_ended`, it had ended before.
    """
    terminated = status == SessionStatus.TERMINATED
    with unit_of_work() as unit:
        lock_active_session(session.pk)
        reason = read()
        moved = advance(
            Session.objects.filter(pk=session.pk),
            SESSION_MOVES,
            status,
            ended_at=unit.now,
            end_reason=reason,
        )
        if not moved:
            raise Conflict("The session has ended.", code="session_ended")
        verb = "session.terminated" if terminated else "session.ended"
        facts = {"reason": reason} if reason else {}
        unit.audit(actor, verb, ("session", session.pk, str(session)), facts)
        open_runs = Run.objects.filter(session=session, status__in=RUN_OPEN)
        _end_runs(
            unit,
            actor,
            list(open_runs.order_by("pk").values_list("pk", flat=True)),
            RunStatus.TERMINATED if terminated else RunStatus.COMPLETED,
            EndReason.SESSION_TERMINATED if terminated else EndReason.SESSION_ENDED,
            reason,
        )
        unit.wake(session.pk)
    session.refresh_from_db()
    return session


def _open_descendants(run_id: UUID) -> list[UUID]:
    found: list[UUID] = []
    layer = [run_id]
    while layer:
        children = Run.objects.filter(parent__in=layer)
        layer = list(children.values_list("pk", flat=True))
        found.extend(layer)
    return list(Run.objects.filter(pk__in=found, status__in=RUN_OPEN).values_list("pk", flat=True))


def _end_runs(
    unit: Unit,
    actor: Actor,
    run_ids: Sequence[UUID],
    status: RunStatus,
    reason: EndReason,
    comment: str,
) -> None:
    for run in lock_runs(run_ids):
        if advance(Run.objects.filter(pk=run.pk), RUN_MOVES, status, ended_at=unit.now):
            _note_end(unit, actor, run, status, comment)
    if run_ids:
        _drop(unit, actor, RunsEnded(run_ids, reason, comment))


def _note_end(unit: Unit, actor: Actor, run: Run, status: RunStatus, comment: str) -> None:
    facts = {"reason": comment} if comment else {}
    unit.audit(actor, f"run.{status.value}", ("run", run.pk, str(run)), facts)
    data = {
        "run": str(run.pk),
        "key": run.key,
        "status": status.value,
        "title": run.title,
        "summary": f"The run ended: {status.label.lower()}",
        "agent": run.agent.slug,
        "session": str(run.session_id),
        "parent_run": str(run.parent_id) if run.parent_id else None,
        "url": page_url("run", run.pk),
    }
    announce(unit, run.workspace_id, "run.ended", run.pk, data)
    unit.wake(run.pk)


def _drop(unit: Unit, actor: Actor, ended: RunsEnded) -> None:
    """Cancel the runs' pending tasks, then their unsent calls."""
    hooks.runs_ended(unit, actor, ended)
    unsent = Q(status__in=CALL_OPEN) & ~Q(status=CallStatus.EXECUTING, sent_at__isnull=False)
    calls = ToolCall.objects.filter(unsent, run__in=ended.run_ids).select_related(
        "operation__integration"
    )
    for call in calls.order_by("pk"):
        cancel_unsent(unit, actor, call, code=ended.reason.value, detail=ended.reason.label)
