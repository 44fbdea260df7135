"""To whom a task can be handed over, and what else can be done with it beside deciding."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounts_app.models import User
from accounts_app.scoping import Actor
from accounts_app.services.reviewers import people
from accounts_app.states import Permission
from tasks_app.models import UserTask
from tasks_app.policies import candidates, may_decide, sees_context
from tasks_app.services.access import get_task

EXTENSIONS = ((900, "15 minutes"), (3600, "1 hour"), (4 * 3600, "4 hours"), (86_400, "1 day"))


@dataclass(frozen=True, slots=True)
class Acts:
    """What the forms beside the decision offer.

    Args:
        can_comment: says something.
        can_ask: asks the agent back, hands over, extends; whoever may decide.
        deciders: to whom it can be handed over.
        extensions: seconds and words; empty where there is no deadline.
        can_assign: an admin, who may also be excluded from deciding.
        can_give_back: it was delegated by or to this person.
    """

    can_comment: bool
    can_ask: bool
    deciders: Sequence[User]
    extensions: Sequence[tuple[int, str]]
    can_assign: bool
    can_give_back: bool


def acts_of(actor: Actor, task: UserTask) -> Acts:
    """What this person may do with a pending task."""
    fresh = get_task(actor, task.pk)
    may = not may_decide(actor, fresh)
    assigns = may or actor.can(Permission.MANAGE_WORKSPACE)
    handed_over = fresh.delegated_by_id is not None
    return Acts(
        can_comment=sees_context(actor, fresh),
        can_ask=may,
        deciders=_deciders(fresh, actor.user_id) if assigns else (),
        extensions=EXTENSIONS if fresh.due_at and may else (),
        can_assign=assigns,
        can_give_back=handed_over
        and actor.user_id in (fresh.assigned_to_id, fresh.delegated_by_id),
    )


def _deciders(task: UserTask, but_not: int | None) -> list[User]:
    found = candidates(task, people(task.workspace_id))
    ids = {person.user_id for person in found} - {but_not}
    return list(User.objects.filter(pk__in=ids).order_by("username"))
