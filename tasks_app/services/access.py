"""The door to one task: seen or not there, and locked where somebody is about to act on it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts_app.errors import Conflict, NotFound, PreconditionRequired
from accounts_app.scoping import Actor
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app.models import ToolCall
from integrations_app.services.locks import lock_runs
from tasks_app.models import UserTask
from tasks_app.services.closing import check_open


def get_task(actor: Actor, task_id: UUID) -> UserTask:
    """One visible task.

    Raises:
        NotFound: not there, or not visible to this actor.
    """
    rows = UserTask.objects.visible_to(actor).select_related("agent", "session", "run")
    task: UserTask | None = _one(rows.filter(pk=task_id))
    if task is None:
        raise NotFound("There is no such task.")
    _connect(task)
    return task


def pending_among(ids: Iterable[UUID]) -> set[UUID]:
    """Of the tasks with these ids, those that are pending; nothing is told of them otherwise."""
    return set(UserTask.objects.pending().filter(pk__in=list(ids)).values_list("pk", flat=True))


def _connect(task: UserTask) -> None:
    """Give what belongs to the task its neighbours without a query for each.

    One statement that joins all of it takes longer to plan, and to compose, than these few do.
    """
    run = task.run
    if run.session_id == task.session_id:
        run.session = task.session
    if run.agent_id == task.agent_id:
        run.agent = task.agent
    if task.tool_call_id is not None:
        call = ToolCall.objects.select_related("operation__integration").get(pk=task.tool_call_id)
        call.run = run
        if call.agent_id == task.agent_id:
            call.agent = task.agent
        task.tool_call = call


def _one(rows: QuerySet[Any]) -> Any:
    """The row, or None; without the order that `first()` would ask for."""
    return next(iter(rows.order_by()[:1]), None)


@contextmanager
def pending_task(
    actor: Actor, task_id: UUID, *, allowed: Callable[[Actor, UserTask], None] | None = None
) -> Iterator[tuple[Unit, UserTask]]:
    """Open a transaction, lock the task's run, and read the task as it is now.

    A conflict that leaves the block carries the task's id as the fact `task`.

    Args:
        actor: from the credential.
        task_id: the task.
        allowed: raises unless this actor may do it; asked before whether the task is still open.

    Raises:
        NotFound: not visible.
        Conflict: `already_completed`, `already_cancelled` or `deadline_passed`.
    """
    with unit_of_work() as unit:
        lock_runs(UserTask.objects.visible_to(actor).filter(pk=task_id).values("run_id"))
        task = get_task(actor, task_id)
        if allowed is not None:
            allowed(actor, task)
        try:
            check_open(task)
            yield unit, task
        except (Conflict, PreconditionRequired) as refusal:
            refusal.facts.setdefault("task", task.pk)
            raise
