"""Sessions and runs: opened, and waiting or running."""

from collections.abc import Mapping, Set
from typing import Any
from uuid import UUID

from accounts_app.errors import Conflict, FieldError, Invalid
from accounts_app.models import Agent
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.natural_keys import body_digest, find_or_make
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app.models import Run, Session, ToolCall
from integrations_app.services.hooks import hooks
from integrations_app.services.locks import (
    lock_active_session,
    lock_open_run,
)
from integrations_app.states import (
    CALL_OPEN,
    RUN_MOVES,
    RunStatus,
)

register_verbs(
    {
        "session.opened": "opened the session",
        "run.opened": "opened the run",
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


def now_waits(unit: Unit, run_id: UUID) -> None:
    """Make a run `waiting` in which a blocking task or a tool call has just been opened.

    The caller holds the run's lock.
    """
    rows = Run.objects.filter(pk=run_id)
    advance(rows, RUN_MOVES, RunStatus.WAITING, source=RunStatus.RUNNING)
    unit.wake(run_id)


def settle_runs(unit: Unit, run_ids: Set[UUID]) -> None:
    """Make each run `waiting` exactly while a blocking task or a tool call of it is open.

    The caller holds the runs' locks.
    """
    calls = ToolCall.objects.filter(run__in=run_ids, status__in=CALL_OPEN).order_by()
    wait = set(calls.values_list("run_id", flat=True).union(hooks.open_tasks(run_ids)))
    for ids, target, source in (
        (wait, RunStatus.WAITING, RunStatus.RUNNING),
        (run_ids - wait, RunStatus.RUNNING, RunStatus.WAITING),
    ):
        if ids:
            advance(Run.objects.filter(pk__in=ids), RUN_MOVES, target, source=source)
    unit.wake(*sorted(run_ids))
