"""What is due, found from rows alone: deadlines, stuck calls, calls that nobody was told of.

Any number of sweepers may run at once, and none may run for hours: each row is moved by a
conditional update, oldest first (promises 4 and 8).
"""

import datetime as dt
import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from tasks_app.models import SweepRun
from tasks_app.services.anomalies import late_screenings, screen_later
from tasks_app.services.call_moves import EXECUTE
from tasks_app.services.claims import drop_claim, lapsed_claims
from tasks_app.services.consistency import CHECKS, check_routes
from tasks_app.services.deadlines import due_reminders, due_tasks, expire, remind
from tasks_app.services.notifying import NOTIFY
from tasks_app.services.tallying import tally
from tasks_app.services.telling import bury_unheard, due_members, forget_told, tell

BATCH = 500
GROUP = 100
"""So many rows share a transaction: few statements for each, and nobody waits long for a lock."""

WAKES_KEPT = 10_000
HEARTBEAT, CHECKS_HEARTBEAT = "scheduler", "checks"
CHECK_EVERY = dt.timedelta(seconds=60)
SWEEPS_KEPT = 10_000

Find = Callable[[int], list[UUID]]
ActOnGroup = Callable[[Sequence[UUID]], Mapping[UUID, str]]

log = structlog.get_logger(__name__)


def sweep(*, execute_here: bool) -> dict[str, int]:
    """Do once everything that is due, and write down what that was.

    Args:
        execute_here: execute due calls in this process, for an installation without a broker
            or worker; otherwise workers are asked for them once more.

    Returns:
        How many rows each kind of work moved; `failed` counts those that could not be handled.
    """
    started_at = db_now()
    work = _Work()
    done = {
        **_deadlines(work),
        "reminders_given": work.through(due_reminders, remind),
        "claims_lapsed": work.through(lapsed_claims, drop_claim),
        "calls_recovered": work.through(lapsed_calls, lambda pk: bool(recover(pk))),
        "deliveries_buried": bury_exhausted(BATCH),
        "notifications_buried": bury_unheard(BATCH),
    }
    if execute_here:
        done["calls_executed"] = work.through(due_calls, lambda pk: bool(execute(pk).status))
        done["replays_run"] = work.through(due_replays, run_replay)
        done["webhooks_sent"] = work.through(due_webhooks, deliver_all)
        done["members_told"] = work.through(due_members, tell)
    else:
        done["calls_rung"] = _ring_again(due_calls, EXECUTE)
        done["replays_rung"] = _ring_again(due_replays, REPLAY)
        done["webhooks_rung"] = _ring_again(due_webhooks, DELIVER)
        done["notifications_rung"] = _ring_for_members()
    done["calls_learned"] = learn_when_behind()
    done["screened_late"] = work.through(late_screenings, screen_later)
    if _is_turn(CHECKS_HEARTBEAT, CHECK_EVERY) or execute_here:
        done |= {name: work.through(find, act) for name, (find, act) in CHECKS.items()}
        done["routes_changed"] = check_routes()
        done["notifications_forgotten"] = forget_told(BATCH)
        done["hours_counted"] = tally()
    done["replays_forgotten"] = forget_old()
    forget_windows()
    done["failed"] = work.failed
    _prune_wakes()
    _write_down(started_at, done)
    Heartbeat.objects.update_or_create(name=HEARTBEAT, defaults={"at": db_now()})
    return done


class _Work:
    """Rows worked through one by one, of which none holds up the others."""

    def __init__(self) -> None:
        self.failed = 0
        self.spoilt: set[UUID] = set()

    def through(self, find: Callable[[int], list[UUID]], act: Callable[[UUID], int]) -> int:
        """Work through what is due in batches, until a batch brings nothing new."""
        moved, seen = 0, set[UUID]()
        while True:
            # What could not be moved is found again; it must not hide what lies behind it.
            found = [pk for pk in find(BATCH + len(seen) - moved) if pk not in seen]
            if not found:
                return moved
            for pk in found:
                seen.add(pk)
                moved += min(1, self._one(act, pk))
                fault("sweep.mid_batch")

    def through_groups(self, find: Find, act: ActOnGroup) -> Counter[str]:
        """Work through what is due in groups, each in one transaction, until nothing new is found.

        What others were at work on is passed over, and has its turn once more at the end.

        Returns:
            How often each outcome came.
        """
        outcomes, left = Counter[str](), set[UUID]()
        # What could not be moved is found again; it must not hide what lies behind it.
        while fresh := [pk for pk in find(BATCH + len(left)) if pk not in left]:
            left |= self._groups(act, fresh, outcomes)
        again = [pk for pk in find(len(left)) if pk in left - self.spoilt] if left else []
        self._groups(act, again, outcomes)
        return outcomes

    def _groups(self, act: ActOnGroup, ids: Sequence[UUID], outcomes: Counter[str]) -> set[UUID]:
        """Act on groups of these, in their order; which of them were not moved."""
        left = set[UUID]()
        for start in range(0, len(ids), GROUP):
            group = ids[start : start + GROUP]
            done = self._group(act, group)
            outcomes.update(done.values())
            left |= set(group) - done.keys()
            fault("sweep.mid_batch")
        return left

    def _group(self, act: ActOnGroup, ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """Act on a group; where that fails, on each of it, so that one harms no other."""
        try:
            return act(ids)
        except Exception as error:
            if len(ids) == 1:
                self._note_failure(ids[0])
                return {}
            log.warning("sweep_group_undone", rows=len(ids), error=type(error).__name__)
            if not connection.is_usable():
                raise
        done: dict[UUID, str] = {}
        for pk in ids:
            done |= self._group(act, [pk])
        return done

    def _one(self, act: Callable[[UUID], int], pk: UUID) -> int:
        try:
            return act(pk)
        except Exception:
            self._note_failure(pk)
            return 0

    def _note_failure(self, pk: UUID) -> None:
        """Go on, while an exception is handled.

        Whatever it is, the row's transaction is undone and the next sweep tries again; not caught,
        one spoilt row would stop every deadline of every workspace.
        """
        self.failed += 1
        self.spoilt.add(pk)
        log.exception("sweep_row_failed", row=str(pk))
        if not connection.is_usable():
            raise


def _deadlines(work: _Work) -> dict[str, int]:
    outcomes = work.through_groups(due_tasks, expire)
    return {
        "tasks_timed_out": outcomes["timed_out"],
        "tasks_escalated": outcomes["escalated"],
    }


def _is_turn(name: str, every: dt.timedelta) -> bool:
    """Whether this sweeper is the one that does something rarer; of several, one is."""
    now = db_now()
    _, created = Heartbeat.objects.get_or_create(name=name, defaults={"at": now})
    return created or bool(Heartbeat.objects.filter(pk=name, at__lte=now - every).update(at=now))


def _write_down(started_at: dt.datetime, done: dict[str, int]) -> None:
    """Keep a row of what was done; an idle sweep leaves its heartbeat alone."""
    moved = {name: number for name, number in done.items() if number}
    if not moved:
        return
    SweepRun.objects.create(
        started_at=started_at,
        finished_at=db_now(),
        host=f"{socket.gethostname()} {os.getpid()}"[:120],
        done=moved,
    )
    oldest = SweepRun.objects.order_by("-started_at", "-pk").values_list("started_at", flat=True)
    for edge in oldest[SWEEPS_KEPT : SWEEPS_KEPT + 1]:
        SweepRun.objects.filter(started_at__lte=edge).delete()


def _ring_again(find: Callable[[int], list[UUID]], job: str) -> int:
    found = find(BATCH)
    if found:
        with unit_of_work() as unit:
            for pk in found:
                unit.ring(job, pk)
    return len(found)


def _ring_for_members() -> int:
    """One ring, however many members are due: a worker goes through them."""
    found = len(due_members(1))
    if found:
        with unit_of_work() as unit:
            unit.ring(NOTIFY)
    return found


def _prune_wakes() -> None:
    newest = Wake.objects.order_by("-pk").values_list("pk", flat=True).first()
    if newest is not None:
        Wake.objects.filter(pk__lte=newest - WAKES_KEPT).delete()
