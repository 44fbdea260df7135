"""What the guard's verdict does to a call: it goes on, pauses, is stopped, or ends its session."""

from uuid import UUID

from accounts_app.moves import advance
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.unit import Unit, unit_of_work
from guard_app.models import LateScreening
from guard_app.services.screening import Verdict, screen_late
from guard_app.states import MILD, GuardEffect
from integrations_app.models import ToolCall
from integrations_app.services.ending import end_session
from integrations_app.services.locks import lock_run
from integrations_app.states import CALL_MOVES, CallStatus, SessionStatus
from tasks_app.kinds import OWN_ACTIONS
from tasks_app.models import UserTask
from tasks_app.services.call_moves import row_of, stop
from tasks_app.services.call_tasks import ask, open_review
from tasks_app.states import About, Kind


def hold_back(unit: Unit, actor: Actor, call: ToolCall, verdict: Verdict) -> bool:
    """Do what the guard says about a call that it screened just now.

    Whatever is blocked asks nobody; a review comes before the operation's own approval.

    Args:
        unit: the transaction; it holds the run's lock, and the session's where a rule may end it.
        actor: whose act led here.
        call: the call, not yet allowed to run.
        verdict: of `screen`.

    Returns:
        Whether the call was stopped or paused; if not, it goes on.
    """
    if verdict.effect in MILD:
        open_alerts(unit, actor, call, verdict)
        return False
    if verdict.effect == GuardEffect.REVIEW:
        advance(row_of(call), CALL_MOVES, CallStatus.AWAITING_REVIEW)
        open_review(unit, actor, call, **verdict.as_review())
        return True
    detail = " ".join(verdict.explanations)
    stop(unit, actor, call, CallStatus.BLOCKED, "blocked", detail)
    if verdict.effect == GuardEffect.TERMINATE_SESSION:
        guard = system_actor(call.workspace_id, "guard")
        end_session(guard, call.run.session, SessionStatus.TERMINATED, lambda: detail)
    return True


def open_alerts(unit: Unit, actor: Actor, call: ToolCall, verdict: Verdict) -> None:
    """Tell analysts of what only alerts: once for each incident and run, however many hits."""
    if verdict.effect != GuardEffect.ALERT:
        return
    reasons = {str(reason["rule"]): reason for reason in verdict.why}
    for incident in verdict.incidents:
        rule = incident.rule
        pending = UserTask.objects.pending().filter(incident=incident, run=call.run_id)
        if not pending.filter(kind=Kind.ANOMALY_ALERT).exists():
            ask(
                unit,
                actor,
                call,
                about=About.NOTHING,
                kind=Kind.ANOMALY_ALERT,
                incident=incident,
                participant="",
                title=f"{rule.name}: {call.operation.name}"[:200],
                actions=[action.as_json() for action in OWN_ACTIONS[Kind.ANOMALY_ALERT]],
                why=[reasons[rule.name]] if rule.name in reasons else list(verdict.why),
            )


def screen_later(call_id: UUID) -> bool:
    """Let the asynchronous rules look at a call, whatever became of it; they can only alert.

    Returns:
        Whether they had still to look.
    """
    if not LateScreening.objects.filter(pk=call_id).exists():
        return False
    rows = ToolCall.objects.select_related(
        "operation__integration", "run__session", "run__agent", "agent"
    )
    call = rows.get(pk=call_id)
    with unit_of_work() as unit:
        lock_run(call.run_id)
        if not LateScreening.objects.filter(pk=call_id).delete()[0]:
            return False
        open_alerts(unit, system_actor(call.workspace_id, "guard"), call, screen_late(unit, call))
    return True


def late_screenings(limit: int) -> list[UUID]:
    """Calls that the asynchronous rules have still to look at, oldest first."""
    rows = LateScreening.objects.order_by("created_at", "pk")
    return list(rows.values_list("pk", flat=True)[:limit])
