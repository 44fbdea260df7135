"""Looking at sensitive values: allowed to whoever sees the task, and always written down."""

from uuid import UUID

from accounts_app.errors import FieldError, Forbidden, Invalid
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Permission
from tasks_app.models import UserTask
from tasks_app.policies import sees_context
from tasks_app.services.access import get_task
from tasks_app.services.closing import subject_of

register_verbs({"task.revealed": "looked at the sensitive values"})
MAX_REASON = 500


def reveal(actor: Actor, task_id: UUID, *, reason: str = "") -> UserTask:
    """Record that somebody looks at what is masked; a page may then show it once.

    Args:
        actor: who looks.
        task_id: the task.
        reason: why; needed by whoever sees tasks only masked.

    Raises:
        NotFound: not visible.
        Forbidden: sees the header only.
        Invalid: a reason is needed, or too long.
    """
    task = get_task(actor, task_id)
    reason = reason.strip()
    if not sees_context(actor, task):
        if not actor.can(Permission.SEE_MASKED):
            raise Forbidden("Your roles show you this task masked only.")
        if not reason:
            detail = "Say why you look; it is written into the audit trail."
            raise Invalid([FieldError("reason", "required", detail)])
    if len(reason) > MAX_REASON:
        raise Invalid([FieldError("reason", "too_long", f"At most {MAX_REASON} characters.")])
    with unit_of_work() as unit:
        facts = {"reason": reason} if reason else {}
        unit.audit(actor, "task.revealed", subject_of(task), facts)
    return task
