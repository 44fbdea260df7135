"""Sessions and runs: opened, ended, and everything that ends with them (promise 7)."""

from collections.abc import Mapping, Sequence, Set
from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts_app.errors import Conflict, FieldError, Invalid
from accounts_app.links import page_url
from accounts_app.models import Agent
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.natural_keys import body_digest, find_or_make
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app.models import Run, Session, ToolCall
from integrations_app.services.hooks import RunsEnded, hooks
from integrations_app.services.locks import (
    lock_active_session,
    lock_open_run,
    lock_run,
    lock_runs,
    lock_session,
)
from integrations_app.services.outbox import announce, announce_all
from integrations_app.states import (
    CALL_MOVES,
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
        "session.opened": "opened the session",
        "session.ended": "ended the session",
        "session.terminated": "terminated the session",
        "run.opened": "opened the run",
        "run.completed": "completed the run",
        "run.failed": "failed the run",
        "run.terminated": "terminated the run",
        "call.cancelled": "cancelled the call",
    }
)


def check_agent(agent: Agent) -> None:
    """Refuse to begin anything for a frozen agent.

    Raises:
        Conflict: `agent_frozen`.
    """
    if not agent.is_frozen:
        return
    if agent.frozen_at is None:
        text = f"The agent {agent.slug!r} is not enabled; an admin must enable it first."
    else:
        text = f"The agent {agent.slug!r} is frozen; whoever may freeze it must thaw it first."
    raise Conflict(text, code="agent_frozen")


def check_takes_calls(agent: Agent) -> None:
    """Refuse a new call of an agent that is frozen or paused.

    Raises:
        Conflict: `agent_frozen`, the contract's one code for both.
    """
    check_agent(agent)
    if agent.paused_at is not None:
        text = f"The agent {agent.slug!r} is paused: an admin must let it go on first."
        raise Conflict(text, code="agent_frozen")


def open_session(
    actor: Actor,
    *,
    agent: Agent,
    key: str | None = None,
    participant: str = "",
    title: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> tuple[Session, bool]:
    """Open a session, or find the one that this key opened.

    Returns:
        The session, and whether it is new.

    Raises:
        Conflict: `agent_frozen`, or `idempotency_mismatch`.
    """
    digest = body_digest(
        {"participant": participant, "title": title, "metadata": dict(metadata or {})}
    )
    with unit_of_work() as unit:

        def make() -> Session:
            check_agent(agent)
            return Session.objects.create(
                workspace_id=actor.workspace_id,
                created_at=unit.now,
                agent=agent,
                key=key,
                body_digest=digest,
                participant=participant,
                title=title,
                metadata=dict(metadata or {}),
                opened_by=f"{actor.type.value}:{actor.id}",
                starter_id=actor.user_id,
            )

        rows = Session.objects.in_workspace(actor.workspace_id).filter(agent=agent)
        session, created = find_or_make(rows, key, digest, make)
        if created:
            unit.audit(actor, "session.opened", ("session", session.pk, str(session)))
    return session, created


def open_run(
    actor: Actor,
    *,
    session: Session,
    agent: Agent | None = None,
    parent: Run | None = None,
    key: str | None = None,
    title: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> tuple[Run, bool]:
    """Open a run in a session, or find the one that this key opened.

    Args:
        actor: whose credential.
        session: the session; it must be active.
        agent: the sub-agent that runs; the session's own when left out.
        parent: the run that started this one.
        key: natural key.
        title: for people.
        metadata: any JSON object.

    Raises:
        Conflict: `session_ended`, `run_ended` (the parent's), `agent_frozen`, or
            `idempotency_mismatch`.
        Invalid: the parent belongs to another session.
    """
    if parent is not None and parent.session_id != session.pk:
        text = "The parent run belongs to another session."
        raise Invalid([FieldError("parent_run", "invalid_value", text)])
    runner = agent or session.agent
    digest = body_digest(
        {
            "session": str(session.pk),
            "parent_run": str(parent.pk) if parent else None,
            "title": title,
            "metadata": dict(metadata or {}),
        }
    )
    with unit_of_work() as unit:

        def make() -> Run:
            check_agent(runner)
            lock_active_session(session.pk)
            if parent is not None:
                lock_open_run(parent.pk)
            return Run.objects.create(
                workspace_id=actor.workspace_id,
                created_at=unit.now,
                session=session,
                agent=runner,
                parent=parent,
                key=key,
                body_digest=digest,
                title=title,
                metadata=dict(metadata or {}),
            )

        rows = Run.objects.in_workspace(actor.workspace_id).filter(agent=runner)
        run, created = find_or_make(rows, key, digest, make)
        if created:
            unit.audit(actor, "run.opened", ("run", run.pk, str(run)))
    return run, created


def settle_run(unit: Unit, run_id: UUID) -> None:
    """Make a run `waiting` exactly while a blocking task or a tool call of it is open.

    The caller holds the run's lock.
    """
    settle_runs(unit, {run_id})


def settle_runs(unit: Unit, run_ids: Set[UUID]) -> None:
    """Make each run `waiting` exactly while a blocking task or a tool call of it is open.

    The caller holds the runs' locks.
    """
    calls = ToolCall.objects.filter(run__in=run_ids, status__in=CALL_OPEN).order_by()
    wait = set(calls.values_list("run_id", flat=True).distinct())
    if run_ids - wait:
        wait |= hooks.with_open_tasks(run_ids - wait)
    for ids, target, source in (
        (wait, RunStatus.WAITING, RunStatus.RUNNING),
        (run_ids - wait, RunStatus.RUNNING, RunStatus.WAITING),
    ):
        if ids:
            advance(Run.objects.filter(pk__in=ids), RUN_MOVES, target, source=source)
    unit.wake(*sorted(run_ids))


def end_run(
    actor: Actor,
    run: Run,
    status: RunStatus,
    *,
    output: Any = None,
    error: Any = None,
    comment: str = "",
) -> Run:
    """End a run; its open child runs are terminated, and what they wait for is dropped.

    Args:
        actor: whose credential.
        run: which run.
        status: completed, failed or terminated.
        output: what a completed run says, JSON.
        error: what a failed run says, JSON.
        comment: the given reason, kept with what is dropped.

    Raises:
        Conflict: `run_ended`, it had ended before.
    """
    with unit_of_work() as unit:
        # New runs need the session's lock, so that none slips in between.
        lock_session(run.session_id)
        children = _open_descendants(run.pk)
        lock_runs([run.pk, *children])
        moved = advance(
            Run.objects.filter(pk=run.pk),
            RUN_MOVES,
            status,
            output=output,
            error=error,
            ended_at=unit.now,
        )
        if not moved:
            ended = lock_run(run.pk)
            raise Conflict(f"The run is {ended.status}.", code="run_ended")
        _note_end(unit, actor, run, status, comment)
        _drop(unit, actor, RunsEnded([run.pk], EndReason.RUN_ENDED, comment))
        _end_runs(unit, actor, children, RunStatus.TERMINATED, EndReason.PARENT_ENDED, comment)
    run.refresh_from_db()
    return run


def end_session(
    actor: Actor, session: Session, status: SessionStatus, *, reason: str = ""
) -> Session:
    """End or terminate a session with all its runs, in one transaction.

    Raises:
        Conflict: `session_ended`, it had ended before.
    """
    terminated = status == SessionStatus.TERMINATED
    with unit_of_work() as unit:
        present = lock_session(session.pk)
        moved = advance(
            Session.objects.filter(pk=session.pk),
            SESSION_MOVES,
            status,
            ended_at=unit.now,
            end_reason=reason,
        )
        if not moved:
            raise Conflict(f"The session is {present.status}.", code="session_ended")
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


def cancel_unsent(unit: Unit, actor: Actor, call: ToolCall, *, code: str, detail: str) -> bool:
    """Cancel a call of which nothing was sent; returns whether this is what cancelled it."""
    rows = ToolCall.objects.filter(pk=call.pk).exclude(
        status=CallStatus.EXECUTING, sent_at__isnull=False
    )
    moved = advance(
        rows,
        CALL_MOVES,
        CallStatus.CANCELLED,
        finished_at=unit.now,
        lease_until=None,
        error={"code": code, "detail": detail},
    )
    if moved:
        target = ("tool_call", call.pk, str(call.operation))
        unit.audit(actor, "call.cancelled", target, {"code": code})
        announce_finish(unit, call, CallStatus.CANCELLED)
    return bool(moved)


def announce_finish(unit: Unit, call: ToolCall, status: CallStatus) -> None:
    """Tell waiters and webhooks that a call has its end."""
    announce_finishes(unit, [call], status)


def announce_finishes(unit: Unit, calls: Sequence[ToolCall], status: CallStatus) -> None:
    """Tell waiters and webhooks that calls of one workspace have the same end."""
    references = {call.pk: call.operation.reference for call in calls}
    rows = ToolCall.objects.filter(pk__in=references).order_by("pk").values(*_FINISHED)
    told = [(row["pk"], _finish_data(row, references[row["pk"]], status)) for row in rows]
    if told:
        announce_all(unit, calls[0].workspace_id, "tool_call.finished", told)
    for call in calls:
        unit.wake(call.pk, call.run_id)


_FINISHED = (
    "pk",
    "key",
    "agent__slug",
    "run__session_id",
    "run_id",
    "result",
    "error",
    "attempts",
)


def _finish_data(row: Mapping[str, Any], reference: str, status: CallStatus) -> dict[str, Any]:
    return {
        "tool_call": str(row["pk"]),
        "key": row["key"],
        "status": status.value,
        "operation": reference,
        "summary": f"{reference}: {status.label.lower()}",
        "agent": row["agent__slug"],
        "session": str(row["run__session_id"]),
        "run": str(row["run_id"]),
        "status_code": (row["result"] or {}).get("status_code"),
        "error": (row["error"] or {}).get("code"),
        "attempts": row["attempts"],
        "url": page_url("tool_call", row["pk"]),
    }
