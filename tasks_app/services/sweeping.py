"""What is due, found from rows alone: deadlines, stuck calls, calls that nobody was told of.

Any number of sweepers may run at once, and none may run for hours: each row is moved by a
conditional update, oldest first (promises 4 and 8).
"""

from collections.abc import Callable
from uuid import UUID

import structlog
from django.db import connection

from accounts_app.clock import db_now
from accounts_app.faults import fault
from accounts_app.models import Heartbeat, Wake
from accounts_app.services.idempotency import forget_old
from accounts_app.services.throttling import forget_windows
from accounts_app.services.unit import unit_of_work
from guard_app.services.learning import learn_when_behind
from guard_app.services.replays import REPLAY, due_replays, run_replay
from integrations_app.services.deliveries import bury_exhausted, deliver_all, due_webhooks
from integrations_app.services.execution import due_calls, execute, lapsed_calls, recover
from integrations_app.services.outbox import DELIVER
from tasks_app.services.anomalies import late_screenings, screen_later
from tasks_app.services.call_moves import EXECUTE
from tasks_app.services.deadlines import due_reminders, due_tasks, expire, remind

BATCH = 500
WAKES_KEPT = 10_000
HEARTBEAT = "scheduler"

log = structlog.get_logger(__name__)


def sweep(*, execute_here: bool) -> dict[str, int]:
    """Do once everything that is due.

    Args:
        execute_here: execute due calls in this process, for an installation without a broker
            or worker; otherwise workers are asked for them once more.

    Returns:
        How many rows each kind of work moved.
    """
    done = {
        **_deadlines(),
        "reminders_given": _each(due_reminders, remind),
        "calls_recovered": _each(lapsed_calls, lambda pk: bool(recover(pk))),
    }
    done["deliveries_buried"] = bury_exhausted(BATCH)
    if execute_here:
        done["calls_executed"] = _each(due_calls, lambda pk: bool(execute(pk).status))
        done["replays_run"] = _each(due_replays, run_replay)
        done["webhooks_sent"] = _each(due_webhooks, deliver_all)
    else:
        done["calls_rung"] = _ring_again(due_calls, EXECUTE)
        done["replays_rung"] = _ring_again(due_replays, REPLAY)
        done["webhooks_rung"] = _ring_again(due_webhooks, DELIVER)
    done["calls_learned"] = learn_when_behind()
    done["screened_late"] = _each(late_screenings, screen_later)
    done["replays_forgotten"] = forget_old()
    forget_windows()
    _prune_wakes()
    Heartbeat.objects.update_or_create(name=HEARTBEAT, defaults={"at": db_now()})
    return done


def _deadlines() -> dict[str, int]:
    outcomes: list[str] = []

    def act(task_id: UUID) -> bool:
        outcomes.append(expire(task_id))
        return bool(outcomes[-1])

    _each(due_tasks, act)
    return {
        "tasks_timed_out": outcomes.count("timed_out"),
        "tasks_escalated": outcomes.count("escalated"),
    }


def _each(find: Callable[[int], list[UUID]], act: Callable[[UUID], int]) -> int:
    """Work through what is due in batches, until a batch brings nothing new."""
    moved, seen = 0, set[UUID]()
    while True:
        found = [pk for pk in find(BATCH) if pk not in seen]
        if not found:
            return moved
        for pk in found:
            seen.add(pk)
            moved += _guarded(act, pk)
            fault("sweep.mid_batch")


def _guarded(act: Callable[[UUID], int], pk: UUID) -> int:
    """Act on one row; what is wrong with it must not hold up the rows behind it."""
    try:
        return act(pk)
    except Exception:
        # Whatever it is, the row's transaction is undone and the next sweep tries again; not
        # caught, one spoilt row would stop every deadline of every workspace.
        log.exception("sweep_row_failed", row=str(pk))
        if not connection.is_usable():
            raise
        return 0


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
