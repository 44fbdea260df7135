"""The door to one task: seen or not there, and locked where somebody is about to act on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from accounts_app.errors import Conflict, NotFound, PreconditionRequired
from accounts_app.scoping import Actor
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app.services.locks import lock_run
from tasks_app.models import UserTask
from tasks_app.services.closing import check_open


def get_task(actor: Actor, task_id: UUID) -> UserTask:
    """One visible task.

    Raises:
        NotFound: not there, or not visible to this actor.
    """
    rows = UserTask.objects.visible_to(actor).select_related(
        "agent",
        "session",
        "run__session",
        "run__agent",
        "tool_call__operation__integration",
        "tool_call__agent",
        "claimed_by",
        "assigned_to",
        "asking_run",
    )
    found = rows.prefetch_related("reviewer_rows").filter(pk=task_id)
    task: UserTask | None = found.first()
    if task is None:
        raise NotFound("There is no such task.")
    if task.tool_call is not None:
        task.tool_call.run = task.run
    return task


@contextmanager
def pending_task(actor: Actor, task_id: UUID) -> Iterator[tuple[Unit, UserTask]]:
    """Open a transaction, lock the task's run, and read the task as it is now.

    A conflict that leaves the block carries the task's id as the fact `task`.

    Raises:
        NotFound: not visible.
        Conflict: `already_completed`, `already_cancelled` or `deadline_passed`.
    """
    with unit_of_work() as unit:
        lock_run(get_task(actor, task_id).run_id)
        task = get_task(actor, task_id)
        try:
            check_open(task)
            yield unit, task
        except (Conflict, PreconditionRequired) as refusal:
            refusal.facts.setdefault("task", task.pk)
            raise
