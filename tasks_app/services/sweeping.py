"""What is due, found from rows alone: deadlines, stuck calls, calls that nobody was told of.

Any number of sweepers may run at once, and none may run for hours: each row is moved by a
conditional update, oldest first (promises 4 and 8).
"""

from collections.abc import Callable
from uuid import UUID

from accounts_app.clock import DbNow, db_now
from accounts_app.faults import fault
from accounts_app.models import Heartbeat, Wake
from accounts_app.scoping import system_actor
from accounts_app.services.idempotency import forget_old
from accounts_app.services.unit import unit_of_work
from integrations_app.actions import from_json
from integrations_app.services.deliveries import bury_exhausted, deliver_all, due_webhooks
from integrations_app.services.execution import due_calls, execute, lapsed_calls, recover
from integrations_app.services.locks import lock_run
from integrations_app.services.outbox import DELIVER
from integrations_app.services.sessions import settle_run
from tasks_app.kinds import CheckedAnswer
from tasks_app.models import UserTask
from tasks_app.services.call_moves import EXECUTE
from tasks_app.services.call_tasks import apply_decision, time_out_call
from tasks_app.services.closing import time_out

BATCH = 500
WAKES_KEPT = 10_000
HEARTBEAT = "scheduler"


def due_tasks(limit: int = BATCH) -> list[UUID]:
    """Pending tasks whose deadline has passed, oldest first."""
    rows = UserTask.objects.pending().filter(due_at__isnull=False, due_at__lte=DbNow())
    return list(rows.order_by("due_at", "pk").values_list("pk", flat=True)[:limit])


def expire(task_id: UUID) -> bool:
    """Time a task out; returns whether this act won."""
    row = UserTask.objects.filter(pk=task_id).values_list("run_id", flat=True).get()
    with unit_of_work() as unit:
        lock_run(row)
        task = UserTask.objects.select_related(
            "tool_call__operation__integration", "tool_call__run", "run"
        ).get(pk=task_id)
        actor = system_actor(task.workspace_id, "deadline")
        default = _default(task)
        if not time_out(unit, actor, task, default):
            return False
        fault("expire.after_cas")
        if default is not None and task.tool_call is not None:
            apply_decision(
                unit,
                actor,
                task,
                action=default.action.name,
                effect=default.action.effect,
                detail="Nobody decided before the deadline.",
            )
        else:
            time_out_call(unit, actor, task)
        settle_run(unit, task.run_id)
    return True


def _default(task: UserTask) -> CheckedAnswer | None:
    if not isinstance(task.on_timeout, dict) or "action" not in task.on_timeout:
        return None
    name = task.on_timeout["action"]
    chosen = next(action for action in from_json(task.actions) if action.name == name)
    return CheckedAnswer(chosen, None, None)


def sweep(*, execute_here: bool) -> dict[str, int]:
    """Do once everything that is due.

    Args:
        execute_here: execute due calls in this process, for an installation without a broker
            or worker; otherwise workers are asked for them once more.

    Returns:
        How many rows each kind of work moved.
    """
    done = {
        "tasks_timed_out": _each(due_tasks, expire),
        "calls_recovered": _each(lapsed_calls, lambda pk: bool(recover(pk))),
    }
    done["deliveries_buried"] = bury_exhausted(BATCH)
    if execute_here:
        done["calls_executed"] = _each(due_calls, lambda pk: bool(execute(pk).status))
        done["webhooks_sent"] = _each(due_webhooks, deliver_all)
    else:
        done["calls_rung"] = _ring_again(due_calls, EXECUTE)
        done["webhooks_rung"] = _ring_again(due_webhooks, DELIVER)
    done["replays_forgotten"] = forget_old()
    _prune_wakes()
    Heartbeat.objects.update_or_create(name=HEARTBEAT, defaults={"at": db_now()})
    return done


def _each(find: Callable[[int], list[UUID]], act: Callable[[UUID], int]) -> int:
    """Work through what is due in batches, until a batch brings nothing new."""
    moved, seen = 0, set[UUID]()
    while True:
        found = [pk for pk in find(BATCH) if pk not in seen]
        if not found:
            return moved
        for pk in found:
            seen.add(pk)
            moved += act(pk)
            fault("sweep.mid_batch")


def _ring_again(find: Callable[[int], list[UUID]], job: str) -> int:
    found = find(BATCH)
    if found:
        with unit_of_work() as unit:
            for pk in found:
                unit.ring(job, pk)
    return len(found)


def _prune_wakes() -> None:
    newest = Wake.objects.order_by("-pk").values_list("pk", flat=True).first()
    if newest is not None:
        Wake.objects.filter(pk__lte=newest - WAKES_KEPT).delete()
