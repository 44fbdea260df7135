"""Who may decide a task and see all of it (pure: they look at rows, and change nothing)."""

from accounts_app.errors import Forbidden
from accounts_app.scoping import Actor
from accounts_app.states import ActorType, Permission, Scope
from tasks_app.models import UserTask
from tasks_app.states import ANOMALIES, DASHBOARD_ONLY, SEPARATED, About


def is_participant(actor: Actor, task: UserTask) -> bool:
    return bool(task.participant) and task.participant.casefold() in actor.identities


def is_self_review(actor: Actor, task: UserTask) -> bool:
    """Whether this person started the session whose task it is (promise 10).

    The person counts, not the credential: the owner of a key is the person.
    """
    if task.allow_self_review or task.kind not in SEPARATED:
        return False
    session = task.session
    if session.starter_id is not None and session.starter_id == actor.user_id:
        return True
    return bool(session.participant) and session.participant.casefold() in actor.identities


def sees_context(actor: Actor, task: UserTask) -> bool:
    """Whether a person sees arguments and text, and not the header alone."""
    if actor.type != ActorType.USER or is_participant(actor, task):
        return True
    if actor.can(Permission.SEE_ALL_TASKS):
        return True
    if task.kind in ANOMALIES:
        return actor.can(Permission.SEE_ANOMALIES)
    limited = actor.limited_to is not None and task.agent_id not in actor.limited_to
    return actor.can(Permission.SEE_OWN_QUEUE) and not limited


def check_may_decide(actor: Actor, task: UserTask) -> None:
    """Refuse whoever may see the task and not decide it; the contract's order.

    Raises:
        Forbidden: `insufficient_scope`, `dashboard_only`, `forbidden`, or
            `self_review_forbidden`, in this order.
    """
    if actor.type == ActorType.API_KEY:
        actor.require_scope(Scope.DECIDE)
        if task.kind in DASHBOARD_ONLY:
            text = "This kind of task is decided in the back office only."
            raise Forbidden(text, code="dashboard_only")
    elif actor.type == ActorType.USER:
        _check_person(actor, task)
    if is_self_review(actor, task):
        text = "Whoever started the session cannot decide this task; ask somebody else."
        raise Forbidden(text, code="self_review_forbidden")


def _check_person(actor: Actor, task: UserTask) -> None:
    if task.kind in ANOMALIES:
        actor.require(Permission.DECIDE_ANOMALIES)
        return
    if is_participant(actor, task):
        return
    actor.require(Permission.DECIDE_TASKS)
    if not sees_context(actor, task):
        raise Forbidden("You are limited to the tasks of other agents.")


def may_decide(actor: Actor, task: UserTask) -> str:
    """Empty where the actor may decide, else the reason, for a page."""
    try:
        check_may_decide(actor, task)
    except Forbidden as refusal:
        return refusal.detail
    return ""


def check_may_edit(actor: Actor, task: UserTask) -> None:
    """Refuse whoever may not edit the work (the contract's “who may edit a draft”).

    An agent never edits the arguments of a call that is under review.

    Raises:
        Forbidden: `insufficient_scope`, `not_editable`, or what `check_may_decide` says.
    """
    if task.tool_call_id is None:
        if actor.type == ActorType.API_KEY:
            actor.require_scope(Scope.RUNS, Scope.DECIDE)
        else:
            check_may_decide(actor, task)
        return
    if actor.type == ActorType.API_KEY:
        actor.require_scope(Scope.DECIDE)
    if not task.allow_edit or task.about != About.CALL:
        text = "The arguments of this call cannot be edited; its operation does not allow it."
        raise Forbidden(text, code="not_editable")
    check_may_decide(actor, task)


def check_may_comment(actor: Actor, task: UserTask) -> None:
    """Refuse whoever may not say anything about the task.

    Raises:
        Forbidden: `insufficient_scope`, or they see no more than its header.
    """
    if actor.type == ActorType.API_KEY:
        actor.require_scope(Scope.RUNS, Scope.DECIDE)
    elif not sees_context(actor, task):
        raise Forbidden("You see the header of this task only, and cannot comment on it.")
