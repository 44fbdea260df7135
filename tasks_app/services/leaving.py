"""What follows for tasks where a member leaves, or may do more or less than before."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts_app.models import Membership
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.reviewers import people
from accounts_app.services.unit import Unit
from tasks_app.models import UserTask
from tasks_app.services.claims import FREE
from tasks_app.services.closing import subject_of
from tasks_app.services.routing import flag_unroutable, misrouted

register_verbs({"task.released": "took the task back from a member who left"})
FLAGGED_AT_ONCE = 200


def release_tasks_of(unit: Unit, actor: Actor, member: Membership) -> int:
    """Free the pending tasks that a member has claimed or was assigned; drafts and votes stay.

    Of what nobody is left to decide it is said in the same transaction.

    Returns:
        How many tasks were freed.
    """
    user = member.user_id
    rows = UserTask.objects.pending().filter(workspace_id=member.workspace_id)
    held = rows.filter(Q(claimed_by=user) | Q(assigned_to=user))
    wrong = _misrouted(member.workspace_id)
    tasks = _locked(rows.filter(Q(claimed_by=user) | Q(assigned_to=user) | Q(pk__in=wrong)))
    freed = [task for task in tasks if user in (task.claimed_by_id, task.assigned_to_id)]
    held.filter(claimed_by=user).update(**FREE, updated_at=unit.now)
    held.filter(assigned_to=user).update(assigned_to=None, delegated_by=None, updated_at=unit.now)
    for task in freed:
        unit.audit(actor, "task.released", subject_of(task), {"member": str(member)})
        unit.wake(task.pk)
    _flag(unit, actor, member.workspace_id, [task for task in tasks if task.pk in wrong])
    return len(freed)


def look_at_routes(unit: Unit, actor: Actor) -> None:
    """Roles, groups or agents of members changed: say of which tasks nobody is left to decide.

    The flag of 200 tasks at most is moved here, so that an admin does not wait for thousands; the
    sweep finds what is beyond that.
    """
    wrong = _misrouted(actor.workspace_id)
    if wrong:
        rows = UserTask.objects.pending().filter(pk__in=wrong)
        _flag(unit, actor, actor.workspace_id, _locked(rows))


def _misrouted(workspace_id: UUID) -> set[UUID]:
    found = misrouted(workspace_id, people(workspace_id))
    return {task.pk for _, task in zip(range(FLAGGED_AT_ONCE), found, strict=False)}


def _locked(rows: QuerySet[UserTask]) -> list[UserTask]:
    """Lock all that this act changes in one statement, in the order in which others lock them."""
    found = rows.select_for_update(no_key=True, of=("self",)).select_related("session", "agent")
    return list(found.prefetch_related("reviewer_rows").order_by("pk"))


def _flag(unit: Unit, actor: Actor, workspace_id: UUID, tasks: list[UserTask]) -> None:
    members = people(workspace_id) if tasks else []
    for task in tasks:
        flag_unroutable(unit, actor, task, members)
