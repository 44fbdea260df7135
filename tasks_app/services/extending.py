"""A deadline moved by whoever may decide, while it has not passed."""

import datetime as dt
from collections.abc import Callable
from typing import Any, NoReturn
from uuid import UUID

from accounts_app.clock import DbNow, utc_text
from accounts_app.errors import Conflict, FieldError, Invalid
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from integrations_app.policies import MAX_TIMEOUT, parse_timeout
from tasks_app.models import UserTask
from tasks_app.policies import check_may_decide
from tasks_app.services.access import get_task, pending_task
from tasks_app.services.closing import subject_of
from tasks_app.services.reminders import next_reminder

register_verbs({"task.extended": "moved the deadline"})


def extend(actor: Actor, task_id: UUID, read: Callable[[], Any]) -> UserTask:
    """Give a pending task more time: so many seconds after its present deadline.

    Raises:
        Forbidden: see `check_may_decide`.
        Conflict: it had its end, or the deadline has passed.
        Invalid: no number of seconds, or a deadline more than a year away, or none to move.
    """
    check_may_decide(actor, get_task(actor, task_id))
    with pending_task(actor, task_id) as (unit, task):
        seconds = parse_timeout(read(), "timeout_seconds")
        if seconds is None:
            _refuse("Say by how many seconds.", "required")
        if task.due_at is None:
            _refuse("This task has no deadline to move.")
        due_at = task.due_at + dt.timedelta(seconds=seconds)
        if due_at > unit.now + dt.timedelta(seconds=MAX_TIMEOUT):
            _refuse("The deadline would be more than a year away.")
        still = UserTask.objects.pending().filter(pk=task.pk, due_at__gt=DbNow())
        reminder = next_reminder(due_at, task.remind_before_seconds, after=unit.now)
        if not still.update(due_at=due_at, next_reminder_at=reminder, updated_at=unit.now):
            raise Conflict("The deadline has passed.", code="deadline_passed")
        facts = {"from": utc_text(task.due_at), "to": utc_text(due_at)}
        unit.audit(actor, "task.extended", subject_of(task), facts)
        unit.wake(task.pk)
    return get_task(actor, task_id)


def _refuse(detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError("timeout_seconds", code, detail)])
