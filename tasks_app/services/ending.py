"""A person ends a session from the back office; what waits in it is dropped with it."""

from dataclasses import dataclass
from uuid import UUID

from accounts_app.errors import FieldError, Forbidden, Invalid, NotFound
from accounts_app.scoping import Actor
from accounts_app.states import Permission
from integrations_app.models import Run, Session, ToolCall
from integrations_app.services.ending import end_session
from integrations_app.states import CALL_OPEN, RUN_OPEN, CallStatus, SessionStatus
from tasks_app.models import UserTask
from tasks_app.reading import readable_sessions
from tasks_app.states import About, Kind

MAX_REASON = 1000
MAX_NAMED = 100
_ENOUGH = (Permission.DECIDE_TASKS, Permission.DECIDE_ANOMALIES, Permission.MANAGE_WORKSPACE)


@dataclass(frozen=True, slots=True)
class Ending:
    """What ends with a session, as far as a page names it.

    Args:
        runs: the open ones.
        tasks: pending ones that are cancelled.
        staying: pending ones that stay: they survive, are alerts, or ask about the past.
        calls: of which nothing was sent.
    """

    runs: list[Run]
    tasks: list[UserTask]
    staying: list[UserTask]
    calls: list[ToolCall]


def may_end(actor: Actor) -> bool:
    """Whether this person may end sessions at all."""
    return any(actor.can(permission) for permission in _ENOUGH)


def get_session(actor: Actor, session_id: UUID) -> Session:
    """One session that the person may know of.

    Raises:
        NotFound: not there, or not theirs to see.
    """
    rows = readable_sessions(actor).select_related("agent", "starter")
    session: Session | None = rows.filter(pk=session_id).first()
    if session is None:
        raise NotFound("There is no such session.")
    return session


def what_ends(actor: Actor, session: Session) -> Ending:
    """What would end with the session now, of what the person may see."""
    runs = Run.objects.filter(session=session, status__in=RUN_OPEN).select_related("agent")
    tasks = UserTask.objects.visible_to(actor).pending().filter(session=session)
    calls = ToolCall.objects.filter(run__session=session, status__in=CALL_OPEN)
    unsent = calls.exclude(status=CallStatus.EXECUTING, sent_at__isnull=False)
    dropped: list[UserTask] = []
    staying: list[UserTask] = []
    for task in tasks.select_related("agent").order_by("created_at")[:MAX_NAMED]:
        stays = (
            task.survive_parent_close
            or task.kind == Kind.ANOMALY_ALERT
            or task.about == About.OUTCOME
        )
        (staying if stays else dropped).append(task)
    rows = unsent.select_related("operation__integration").order_by("created_at")
    return Ending(
        list(runs.order_by("created_at")[:MAX_NAMED]), dropped, staying, list(rows[:MAX_NAMED])
    )


def end_by_person(actor: Actor, session_id: UUID, *, terminate: bool, reason: str = "") -> Session:
    """Terminate a session, or mark it complete.

    Raises:
        NotFound: not there, or not theirs to see.
        Forbidden: their roles do not include it.
        Invalid: a termination without a reason, or a reason that is too long.
        Conflict: `session_ended`, somebody was faster.
    """
    session = get_session(actor, session_id)
    if not may_end(actor):
        raise Forbidden("Your roles do not include ending sessions.")
    reason = reason.strip()
    if terminate and not reason:
        raise Invalid([FieldError("reason", "required", "Say why; the agent is told.")])
    if len(reason) > MAX_REASON:
        raise Invalid([FieldError("reason", "too_long", f"At most {MAX_REASON} characters.")])
    status = SessionStatus.TERMINATED if terminate else SessionStatus.ENDED
    return end_session(actor, session, status, lambda: reason)
