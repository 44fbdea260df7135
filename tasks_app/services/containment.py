"""What analysts do about an agent: freeze it, thaw it, ask about everything, stop what waits."""

import datetime as dt
from uuid import UUID

from accounts_app.clock import utc_text
from accounts_app.errors import Conflict, FieldError, Invalid, NotFound
from accounts_app.models import Agent
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit, unit_of_work
from accounts_app.states import Permission
from guard_app.services.incidents import get_incident
from integrations_app.models import ToolCall
from integrations_app.services.ending import end_session
from integrations_app.services.finishing import cancel_unsent
from integrations_app.services.locks import lock_runs
from integrations_app.services.sessions import settle_run
from integrations_app.states import (
    CALL_OPEN,
    CallStatus,
    IntegrationKind,
    SessionStatus,
)
from tasks_app.models import UserTask
from tasks_app.services.call_moves import EXECUTE, let_run
from tasks_app.services.closing import cancel
from tasks_app.services.containable import active_sessions
from tasks_app.states import ABOUT_A_CALL, CancelReason

register_verbs(
    {
        "agent.frozen": "froze the agent",
        "agent.thawed": "thawed the agent",
        "agent.approval_required": "asked for approval of every call of the agent",
        "agent.calls_cancelled": "cancelled what the agent waited for",
    }
)


def freeze_agent(actor: Actor, agent_id: UUID, reason: str) -> Agent:
    """Freeze an agent: nothing of it starts or is sent, whatever was approved; what waits stays.

    Raises:
        NotFound: not visible.
        Forbidden: the actor may not triage.
        Invalid: no reason was given.
        Conflict: `already_frozen`.
    """
    agent = _agent(actor, agent_id)
    _need_reason(reason)
    with unit_of_work() as unit:
        rows = Agent.objects.filter(pk=agent.pk, frozen_at__isnull=True)
        if not rows.update(frozen_at=unit.now, frozen_reason=reason):
            raise Conflict("The agent is frozen already.", code="already_frozen")
        unit.audit(actor, "agent.frozen", subject_of(agent), {"reason": reason})
    agent.refresh_from_db()
    return agent


def thaw_agent(actor: Actor, agent_id: UUID, reason: str) -> Agent:
    """Let a frozen agent go on, and what waited in the queue with it.

    Raises:
        NotFound: not visible.
        Forbidden: the actor may not triage.
        Invalid: no reason was given.
        Conflict: `not_frozen`.
    """
    agent = _agent(actor, agent_id)
    _need_reason(reason)
    with unit_of_work() as unit:
        waiting = ToolCall.objects.filter(agent=agent, status=CallStatus.QUEUED)
        lock_runs(list(waiting.values_list("run_id", flat=True).distinct()))
        rows = Agent.objects.filter(pk=agent.pk, frozen_at__isnull=False)
        if not rows.update(frozen_at=None, frozen_reason=""):
            raise Conflict("The agent is not frozen.", code="not_frozen")
        unit.audit(actor, "agent.thawed", subject_of(agent), {"reason": reason})
        for call in waiting.select_related("operation__integration").order_by("pk"):
            if call.operation.integration.kind == IntegrationKind.CLIENT:
                let_run(unit, actor, call)
            else:
                unit.ring(EXECUTE, call.pk)
    agent.refresh_from_db()
    return agent


def require_approval(actor: Actor, agent_id: UUID, until: dt.datetime | None, reason: str) -> Agent:
    """Ask a person about every call of an agent until a moment; None ends that.

    Raises:
        NotFound: not visible.
        Forbidden: the actor may not triage.
        Invalid: the moment has passed, or no reason was given.
    """
    agent = _agent(actor, agent_id)
    _need_reason(reason)
    with unit_of_work() as unit:
        if until is not None and until <= unit.now:
            raise Invalid([FieldError("until", "invalid_value", "Must lie in the future.")])
        Agent.objects.filter(pk=agent.pk).update(approval_required_until=until)
        facts = {"until": utc_text(until), "reason": reason}
        unit.audit(actor, "agent.approval_required", subject_of(agent), facts)
    agent.refresh_from_db()
    return agent


def cancel_pending(actor: Actor, agent_id: UUID, reason: str) -> int:
    """Cancel the agent's calls of which nothing was sent, and the tasks that they wait for.

    Returns:
        How many calls were cancelled.

    Raises:
        NotFound: not visible.
        Forbidden: the actor may not triage.
        Invalid: no reason was given.
    """
    agent = _agent(actor, agent_id)
    _need_reason(reason)
    with unit_of_work() as unit:
        waiting = ToolCall.objects.filter(agent=agent, status__in=CALL_OPEN)
        run_ids = sorted(set(waiting.values_list("run_id", flat=True)))
        lock_runs(run_ids)
        calls = list(waiting.select_related("operation__integration").order_by("pk"))
        cancelled = sum(_cancel(unit, actor, call, reason) for call in calls)
        unit.audit(
            actor,
            "agent.calls_cancelled",
            subject_of(agent),
            {"reason": reason, "calls": cancelled},
        )
        for run_id in run_ids:
            settle_run(unit, run_id)
    return cancelled


def _cancel(unit: Unit, actor: Actor, call: ToolCall, reason: str) -> bool:
    for task in UserTask.objects.pending().filter(tool_call=call, about__in=ABOUT_A_CALL):
        cancel(unit, actor, task, CancelReason.WITHDRAWN, reason)
    return cancel_unsent(unit, actor, call, code="contained", detail=reason)


def terminate_sessions(actor: Actor, incident_id: UUID, reason: str) -> int:
    """Terminate the sessions of an incident's calls that are still active.

    Returns:
        How many sessions were terminated.

    Raises:
        NotFound: not visible.
        Forbidden: the actor may not triage.
        Invalid: no reason was given.
    """
    incident = get_incident(actor, incident_id)
    actor.require(Permission.DECIDE_ANOMALIES)
    _need_reason(reason)
    ended = 0
    for session in active_sessions(incident):
        try:
            end_session(actor, session, SessionStatus.TERMINATED, lambda: reason)
        except Conflict:
            continue  # It ended meanwhile, which is what was wanted.
        ended += 1
    return ended


def subject_of(agent: Agent) -> tuple[str, object, str]:
    """How the audit trail names an agent."""
    return ("agent", agent.pk, agent.slug)


def _agent(actor: Actor, agent_id: UUID) -> Agent:
    agent = Agent.objects.visible_to(actor).filter(pk=agent_id).first()
    if agent is None:
        raise NotFound("There is no such agent.")
    actor.require(Permission.DECIDE_ANOMALIES)
    return agent


def _need_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid([FieldError("reason", "required", "Say why.")])
    if len(reason) > 2000:
        raise Invalid([FieldError("reason", "too_long", "At most 2000 characters.")])
