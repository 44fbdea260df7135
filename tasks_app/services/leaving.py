"""What a member who is let in no longer gives back."""

from django.db.models import Q

from accounts_app.models import Membership
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit
from tasks_app.models import UserTask
from tasks_app.services.claims import FREE
from tasks_app.services.closing import subject_of

register_verbs({"task.released": "took the task back from a member who left"})


def release_tasks_of(unit: Unit, actor: Actor, member: Membership) -> int:
    """Free the pending tasks that a member has claimed or was assigned; drafts and votes stay.

    Returns:
        How many tasks that were.
    """
    user = member.user_id
    rows = UserTask.objects.pending().filter(workspace_id=member.workspace_id)
    held = rows.filter(Q(claimed_by=user) | Q(assigned_to=user)).select_for_update(no_key=True)
    tasks = list(held.order_by("pk"))
    rows.filter(claimed_by=user).update(**FREE, updated_at=unit.now)
    rows.filter(assigned_to=user).update(assigned_to=None, delegated_by=None, updated_at=unit.now)
    for task in tasks:
        unit.audit(actor, "task.released", subject_of(task), {"member": str(member)})
        unit.wake(task.pk)
    return len(tasks)
