"""What happens at a deadline and before it: time-outs, escalations, reminders (promise 8).

Each is a conditional update on the database's clock, so that any number of sweepers may try.
"""

import datetime as dt
from typing import Any
from uuid import UUID

from accounts_app.clock import DbNow
from accounts_app.faults import fault
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.reviewers import people
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app.actions import from_json
from integrations_app.policies import at_level
from integrations_app.services.locks import try_lock_run
from integrations_app.services.sessions import settle_run
from tasks_app.kinds import CheckedAnswer
from tasks_app.models import UserTask
from tasks_app.services.call_tasks import apply_decision, time_out_call
from tasks_app.services.closing import subject_of, time_out
from tasks_app.services.notifying import tell_of_deadline, tell_of_escalation, tell_of_time_out
from tasks_app.services.reminders import next_reminder
from tasks_app.services.routing import flag_unroutable

register_verbs(
    {
        "task.escalated": "nobody decided in time, and others were asked",
        "task.reminded": "reminded of the deadline",
    }
)


def due_tasks(limit: int) -> list[UUID]:
    """Pending tasks whose deadline has passed, oldest first."""
    rows = UserTask.objects.pending().filter(due_at__isnull=False, due_at__lte=DbNow())
    return list(rows.order_by("due_at", "pk").values_list("pk", flat=True)[:limit])


def expire(task_id: UUID) -> str:
    """Do what a task says about its deadline.

    Returns:
        `timed_out` or `escalated`; empty where there was nothing to do, or somebody is at it.
    """
    run_id = UserTask.objects.values_list("run_id", flat=True).get(pk=task_id)
    with unit_of_work() as unit:
        if try_lock_run(run_id) is None:
            return ""
        task = UserTask.objects.select_related(
            "session", "tool_call__operation__integration", "tool_call__run", "run"
        ).get(pk=task_id)
        actor = system_actor(task.workspace_id, "deadline")
        rule = at_level(task.on_timeout, task.escalation_level)
        if isinstance(rule, dict) and "escalate" in rule:
            return "escalated" if _escalate(unit, actor, task, rule["escalate"]) else ""
        return "timed_out" if _time_out(unit, actor, task, _default(task, rule)) else ""


def _default(task: UserTask, rule: Any) -> CheckedAnswer | None:
    if not isinstance(rule, dict):
        return None
    chosen = next(action for action in from_json(task.actions) if action.name == rule["action"])
    return CheckedAnswer(chosen, None, None)


def _time_out(unit: Unit, actor: Actor, task: UserTask, default: CheckedAnswer | None) -> bool:
    holder = task.claimed_by_id
    if not time_out(unit, actor, task, default):
        return False
    fault("expire.after_cas")
    tell_of_time_out(unit, actor, task, holder)
    if default is not None and task.tool_call is not None:
        name, effect = default.action.name, default.action.effect
        detail = "Nobody decided before the deadline."
        apply_decision(unit, actor, task, action=name, effect=effect, detail=detail)
    else:
        time_out_call(unit, actor, task)
    settle_run(unit, task.run_id)
    return True


def _escalate(unit: Unit, actor: Actor, task: UserTask, escalation: dict[str, Any]) -> bool:
    """Ask the next reviewers as well, with a new deadline; who holds the claim keeps it."""
    due_at = unit.now + dt.timedelta(seconds=escalation["timeout_seconds"])
    level = task.escalation_level
    moved = UserTask.objects.pending().filter(
        pk=task.pk, due_at__lte=DbNow(), escalation_level=level
    )
    reminder = next_reminder(due_at, task.remind_before_seconds, after=unit.now)
    if not moved.update(
        escalation_level=level + 1,
        due_at=due_at,
        next_reminder_at=reminder,
        updated_at=unit.now,
    ):
        return False
    task.escalation_level, task.due_at = level + 1, due_at
    facts = {"level": level + 1, "to": escalation["reviewers"], "due_at": due_at.isoformat()}
    unit.audit(actor, "task.escalated", subject_of(task), facts)
    flag_unroutable(unit, actor, task, people(task.workspace_id))
    tell_of_escalation(unit, actor, task)
    unit.wake(task.pk, task.run_id)
    return True


def due_reminders(limit: int) -> list[UUID]:
    """Pending tasks of which somebody is to be reminded, oldest first."""
    rows = UserTask.objects.pending().filter(
        next_reminder_at__isnull=False, next_reminder_at__lte=DbNow()
    )
    return list(rows.order_by("next_reminder_at", "pk").values_list("pk", flat=True)[:limit])


def remind(task_id: UUID) -> bool:
    """Remind once of a deadline; what downtime left out is not repeated."""
    task = UserTask.objects.select_related("session").get(pk=task_id)
    with unit_of_work() as unit:
        following = next_reminder(task.due_at, task.remind_before_seconds, after=unit.now)
        due = UserTask.objects.pending().filter(
            pk=task_id,
            next_reminder_at=task.next_reminder_at,
            next_reminder_at__lte=DbNow(),
            due_at__gt=DbNow(),
        )
        note = {"at": unit.now.isoformat(), "level": task.escalation_level}
        if not due.update(next_reminder_at=following, reminded=[*task.reminded, note]):
            return False
        actor = system_actor(task.workspace_id, "deadline")
        facts = {"due_at": task.due_at.isoformat() if task.due_at else None}
        unit.audit(actor, "task.reminded", subject_of(task), facts)
        tell_of_deadline(unit, actor, task)
        unit.wake(task.pk)
    return True
