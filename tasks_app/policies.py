"""Who may decide a task and see all of it (pure: they look at rows, and change nothing)."""

from collections.abc import Collection, Iterable

from accounts_app.errors import Forbidden
from accounts_app.scoping import Actor
from accounts_app.services.reviewers import Person
from accounts_app.states import ActorType, Permission, Scope
from tasks_app.models import Reviewer, UserTask
from tasks_app.states import ANOMALIES, DASHBOARD_ONLY, SEPARATED, About


def is_participant(actor: Actor, task: UserTask) -> bool:
    return bool(task.participant) and task.participant.casefold() in actor.identities


def is_self_review(actor: Actor, task: UserTask) -> bool:
    """Whether this person started the session whose task it is (promise 10).

    The person counts, not the credential: the owner of a key is the person.
    """
    return is_excluded(task, actor.user_id, actor.identities)


def is_excluded(task: UserTask, user_id: int | None, identities: Collection[str]) -> bool:
    """Whether the self-review rule keeps this person from deciding; no role is above it."""
    if task.allow_self_review or task.kind not in SEPARATED:
        return False
    session = task.session
    if session.starter_id is not None and session.starter_id == user_id:
        return True
    return bool(session.participant) and session.participant.casefold() in identities


def candidates(task: UserTask, members: Iterable[Person]) -> list[Person]:
    """Those of a workspace who may decide the task; exclusion comes first."""
    named = names_of(task)
    return [member for member in members if _could_decide(member, task, named)]


def names_of(task: UserTask) -> list[Reviewer]:
    """The rows of those whom the task names up to its present level; one query at most."""
    if not task.named and not task.escalation_level:
        return []
    return [row for row in task.reviewer_rows.all() if row.level <= task.escalation_level]


def is_among(member: Person, rows: Iterable[Reviewer]) -> bool:
    """Whether one of these rows means this person, by themselves or by a group."""
    return any(row.user_id == member.user_id or row.group_id in member.groups for row in rows)


def _could_decide(member: Person, task: UserTask, named: Iterable[Reviewer]) -> bool:
    if is_excluded(task, member.user_id, member.identities):
        return False
    if task.kind in ANOMALIES:
        return Permission.DECIDE_ANOMALIES in member.permissions
    if task.participant and task.participant.casefold() in member.identities:
        return True
    if Permission.DECIDE_TASKS not in member.permissions:
        return False
    if is_among(member, named):
        return True
    everywhere = Permission.SEE_ALL_TASKS in member.permissions or not member.limited_to
    return not task.named and (everywhere or task.agent_id in member.limited_to)


def sees_context(actor: Actor, task: UserTask) -> bool:
    """Whether a person sees arguments and text, and not the header and a masked summary alone."""
    if actor.type != ActorType.USER or is_participant(actor, task):
        return True
    if actor.can(Permission.SEE_ALL_TASKS):
        return True
    if task.kind in ANOMALIES:
        return actor.can(Permission.SEE_ANOMALIES)
    return actor.can(Permission.SEE_OWN_QUEUE) and is_eligible(actor, task)


def is_eligible(actor: Actor, task: UserTask) -> bool:
    """Whether an operator's queue holds this task (the line “Eligible” of the design)."""
    limited = actor.limited_to is not None and task.agent_id not in actor.limited_to
    if not task.named and not limited:
        return True
    return any(
        row.user_id == actor.user_id or row.group_id in actor.groups
        for row in task.reviewer_rows.all()
        if row.level <= task.escalation_level
    )


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
        raise Forbidden("This task is for other reviewers, or of an agent that is not yours.")


def may_decide(actor: Actor, task: UserTask) -> str:
    """Empty where the actor may decide, else the reason, for a page."""
    try:
        check_may_decide(actor, task)
    except Forbidden as refusal:
        return refusal.detail
    return ""


def decides_anything(actor: Actor) -> bool:
    """Whether a person's roles let them decide; a task for them as its participant is beside it."""
    return actor.can(Permission.DECIDE_TASKS) or actor.can(Permission.DECIDE_ANOMALIES)


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
        raise Forbidden("You see this task masked only, and cannot comment on it.")
