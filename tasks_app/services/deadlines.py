"""What happens at a deadline and before it: time-outs, escalations, reminders (promise 8).

Each is a conditional update on the database's clock, so that any number of sweepers may try.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import prefetch_related_objects

from accounts_app.clock import DbNow, utc_text
from accounts_app.faults import fault
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.reviewers import Person, people
from accounts_app.services.unit import Unit, unit_of_work
from accounts_app.strict_json import canonical
from integrations_app.actions import from_json
from integrations_app.policies import at_level
from integrations_app.services.locks import try_lock_runs
from integrations_app.services.sessions import settle_runs
from tasks_app.kinds import CheckedAnswer
from tasks_app.models import UserTask
from tasks_app.services.call_tasks import apply_decision, time_out_calls
from tasks_app.services.closing import subject_of, time_out
from tasks_app.services.notifying import tell_of_deadline, tell_of_escalation, tell_of_time_outs
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


def expire(task_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Do what tasks say about their deadlines, all of them in one transaction.

    Tasks and runs that somebody is at work on are passed over, and nothing here waits for a lock
    but the audit trail's; who asks again later finds them.

    Args:
        task_ids: due tasks, of any workspaces.

    Returns:
        `timed_out` or `escalated` of each for which something was done.

    Raises:
        PartlyMoved: somebody else moved some of them meanwhile; nothing is done, and each should
            be tried by itself.
    """
    pending = UserTask.objects.pending().filter(pk__in=task_ids)
    runs = dict(pending.values_list("pk", "run_id"))
    outcomes: dict[UUID, str] = {}
    if not runs:
        return outcomes  # Another sweeper was through with all of them.
    with unit_of_work() as unit:
        for workspace_id, tasks in _by_workspace(_locked_due(runs)).items():
            actor = system_actor(workspace_id, "deadline")
            # Only neighbours are taken together, so that the oldest still comes first.
            for _, alike in groupby(tasks, key=_ending):
                outcomes |= _end_alike(unit, actor, list(alike))
        fault("expire.before_commit")
    return outcomes


def _locked_due(runs: Mapping[UUID, UUID]) -> list[UserTask]:
    """Lock those that are due and that nobody is at work on; oldest first.

    They are read once their locks are held, as they are then.

    Args:
        runs: by the id of each task, its run's.
    """
    locked = try_lock_runs(set(runs.values()))
    due = UserTask.objects.pending().filter(pk__in=runs, run_id__in=locked, due_at__lte=DbNow())
    free = due.select_for_update(no_key=True, skip_locked=True).order_by("pk")
    rows = UserTask.objects.filter(pk__in=list(free.values_list("pk", flat=True)))
    found = rows.select_related("session", "tool_call").defer(*_SELDOM_READ)
    tasks = list(found.order_by("due_at", "pk"))
    # What many tasks share is read once, and not joined to each of them.
    prefetch_related_objects(tasks, "agent", "tool_call__operation__integration")
    named = [task for task in tasks if task.named or task.escalation_level]
    prefetch_related_objects(named, "reviewer_rows")
    return tasks


_SELDOM_READ = (
    *("description", "options", "input", "initial_work", "draft", "why", "policy", "metadata"),
    *("session__metadata", "tool_call__arguments", "tool_call__arguments_sealed"),
    *("tool_call__request_sealed", "tool_call__why", "tool_call__result"),
)
"""By no time-out, or by a rare one, which reads them by itself."""


def _by_workspace(tasks: Iterable[UserTask]) -> dict[UUID, list[UserTask]]:
    found: dict[UUID, list[UserTask]] = defaultdict(list)
    for task in tasks:
        found[task.workspace_id].append(task)
    # Sorted as the audit trails are, whose heads are locked one after the other.
    return dict(sorted(found.items()))


def _ending(task: UserTask) -> str:
    """What tasks must have in common to end by the same statements."""
    if _escalation(task) is not None:
        return "escalates"
    default = _default(task)
    return canonical(default.action.as_json()) if default else "returns"


def _end_alike(unit: Unit, actor: Actor, tasks: Sequence[UserTask]) -> dict[UUID, str]:
    if _escalation(tasks[0]) is not None:
        members = people(actor.workspace_id)
        moved = [task for task in tasks if _escalate(unit, actor, task, members)]
        return {task.pk: "escalated" for task in moved}
    moved = list(tasks) if _time_out(unit, actor, tasks, _default(tasks[0])) else []
    return {task.pk: "timed_out" for task in moved}


def _escalation(task: UserTask) -> dict[str, Any] | None:
    """Whom the task's present level asks at the deadline, and for how long; None ends it."""
    rule = at_level(task.on_timeout, task.escalation_level)
    return rule.get("escalate") if isinstance(rule, dict) else None


def _default(task: UserTask) -> CheckedAnswer | None:
    rule = at_level(task.on_timeout, task.escalation_level)
    if not isinstance(rule, dict):
        return None
    offered = {action.name: action for action in from_json(task.actions)}
    return CheckedAnswer(offered[rule["action"]], None, None)


def _time_out(
    unit: Unit, actor: Actor, tasks: Sequence[UserTask], default: CheckedAnswer | None
) -> bool:
    """End tasks of one workspace alike; statements for all of them, not for each."""
    holders = {task.pk: task.claimed_by_id for task in tasks}
    if not time_out(unit, actor, tasks, default):
        return False
    fault("expire.after_cas")
    tell_of_time_outs(unit, actor, tasks, holders)
    if default is None:
        time_out_calls(unit, actor, tasks)
    else:
        _act_by_default(unit, actor, tasks, default)
    settle_runs(unit, {task.run_id for task in tasks})
    return True


def _act_by_default(
    unit: Unit, actor: Actor, tasks: Sequence[UserTask], default: CheckedAnswer
) -> None:
    name, effect = default.action.name, default.action.effect
    for task in tasks:
        detail = "Nobody decided before the deadline."
        apply_decision(unit, actor, task, action=name, effect=effect, detail=detail)


def _escalate(unit: Unit, actor: Actor, task: UserTask, members: Sequence[Person]) -> bool:
    """Ask the next reviewers as well, with a new deadline; who holds the claim keeps it."""
    escalation = _escalation(task)
    if escalation is None:
        return False
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
    facts = {"level": level + 1, "to": escalation["reviewers"], "due_at": utc_text(due_at)}
    unit.audit(actor, "task.escalated", subject_of(task), facts)
    flag_unroutable(unit, actor, task, members)
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
        note = {"at": utc_text(unit.now), "level": task.escalation_level}
        if not due.update(next_reminder_at=following, reminded=[*task.reminded, note]):
            return False
        actor = system_actor(task.workspace_id, "deadline")
        facts = {"due_at": utc_text(task.due_at)}
        unit.audit(actor, "task.reminded", subject_of(task), facts)
        tell_of_deadline(unit, actor, task)
        unit.wake(task.pk)
    return True
