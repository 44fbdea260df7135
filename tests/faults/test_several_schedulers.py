"""Three schedulers and three sweepers at once, and none for hours: what is due happens once.

What was due is counted by the test itself, and compared with decisions, the audit trail, what the
service saw and what the webhook was told.
"""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from tests.answers import Answer
from tests.harness.catalogue import OPERATIONS
from tests.harness.figures import Figures
from tests.harness.installation import Installation, LiveApi, open_run, until
from tests.harness.receiver import Receiver

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("schedulers")]
NUMBER = min(4 * int(os.environ.get("ASSENT_FAULT_ROUNDS", "1")), 200)
"""Of each kind of work."""

ENTRIES = "SELECT target_id, verb FROM accounts_app_auditentry ORDER BY sequence"
DECISIONS = "SELECT task_id, act FROM tasks_app_decision"
IN_HANDS = """
SELECT count(*) FROM integrations_app_delivery WHERE status NOT IN ('delivered', 'dead')
UNION ALL
SELECT count(*) FROM integrations_app_toolcall WHERE status IN ('queued', 'executing')
"""
PATIENCE = 600
ESCALATE = {"escalate": {"reviewers": {"users": ["abe"]}, "timeout_seconds": 600}}
SCHEDULES = ("periodictask", "periodictasks", "intervalschedule", "crontabschedule")


@contextmanager
def sweeping(running: Installation, number: int) -> Iterator[list[int]]:
    """So many loops of `manage.py sweep`, as from cron; how many each has done."""
    over, turns = threading.Event(), [0] * number
    failures: list[Exception] = []

    def loop(position: int) -> None:
        while not over.is_set():
            try:
                running.manage("sweep")
            except RuntimeError as failure:
                failures.append(failure)
                return
            turns[position] += 1

    threads = [threading.Thread(target=loop, args=[position]) for position in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield turns
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures, failures


class Load:
    """Work of every kind, and what has to become of it."""

    def __init__(self, running: Installation, webhook: Receiver) -> None:
        self.running = running
        self.agent = running.api("runs,read", "--agent", "support")
        self.person = running.api("decide,read")
        self.run = open_run(self.agent)
        admin = running.api("admin,read")
        refund = {**OPERATIONS["refund"], "approval": {"timeout_seconds": 600}}
        admin.put("integrations/payments/operations/refund", refund).ok()
        hook = {"url": f"{webhook.url}/ok", "events": ["task.timed_out"], "enabled": True}
        admin.put("webhooks/several", {**hook, "allow_private_network": True}).ok(201)
        self.plain = [self._task(remind_before_seconds=[300]) for _ in range(NUMBER)]
        self.escalated = [self._task(on_timeout=ESCALATE) for _ in range(NUMBER)]
        self.late = [self._call() for _ in range(NUMBER)]
        self.approved = [self._call() for _ in range(NUMBER)]
        for call in self.approved:
            self.person.post(f"tasks/{call['task']}/approve").ok()

    def _task(self, **members: Any) -> str:
        body = {"run": self.run, "title": "In time?", "timeout_seconds": 600, **members}
        return str(self.agent.post("tasks", body).ok(201)["id"])

    def _call(self) -> Answer:
        return self.running.refund(self.agent, 900, run=self.run).ok(201)

    @property
    def timed_out(self) -> set[str]:
        return {*self.plain, *self.escalated, *(call["task"] for call in self.late)}

    def entries(self, *verbs: str) -> Counter[tuple[str, str]]:
        """How often each of these was recorded of the tasks of this load."""
        mine = self.timed_out
        rows = self.running.execute(ENTRIES)
        return Counter((verb, task) for task, verb in rows if task in mine and verb in verbs)


def started(running: Installation) -> None:
    running.start("worker")
    running.start_several("scheduler", 3)
    running.start_several("sweeper", 3)


def test_three_schedulers_and_three_sweepers_do_everything_once(
    installation: Installation, service: Receiver, figures: Figures
) -> None:
    running, begun = installation, time.monotonic()
    running.kill("scheduler", "sweeper", "worker")
    with Receiver() as webhook:
        load = Load(running, webhook)
        running.move_clock(301)
        started(running)
        with sweeping(running, 3) as turns:
            _wait_for(load, "task.reminded", NUMBER)
            _wait_for_senders(running)
            running.move_clock(300)
            _wait_for(load, "task.escalated", NUMBER)
            _wait_for(load, "task.timed_out", 2 * NUMBER)
            _wait_for_senders(running)
            running.move_clock(601)
            _wait_for(load, "task.timed_out", 3 * NUMBER)
            calls = {call["id"] for call in load.approved}
            until(lambda: calls <= service.effects().keys(), PATIENCE)
            until(lambda: len(told(webhook)) >= 3 * NUMBER, PATIENCE)
            # Once more by each of them, or what comes twice would come after this.
            before = list(turns)
            until(lambda: all(n > b + 1 for n, b in zip(turns, before, strict=True)), PATIENCE)
        happened_once(load, service, webhook)
    figures.say(
        f"three schedulers, three sweepers and {turns} sweeps from cron beside them:"
        f" {3 * NUMBER} time-outs, {NUMBER} escalations, {NUMBER} reminders and {NUMBER} calls"
        f" once each, in {time.monotonic() - begun:.0f} s"
    )
    back_to_one(running)


def _wait_for(load: Load, verb: str, number: int) -> None:
    until(lambda: len(load.entries(verb)) >= number, PATIENCE)


def _wait_for_senders(running: Installation) -> None:
    """A clock that jumps while something is being sent ends its lease, and it is sent again."""
    until(lambda: not any(row[0] for row in running.execute(IN_HANDS)), PATIENCE)


def told(webhook: Receiver) -> Counter[tuple[str, str]]:
    bodies = [json.loads(hit.body) for hit in webhook.hits]
    return Counter((body["type"], body["data"]["task"]) for body in bodies)


def happened_once(load: Load, service: Receiver, webhook: Receiver) -> None:
    due = {("task.reminded", task): 1 for task in load.plain}
    due |= {("task.escalated", task): 1 for task in load.escalated}
    due |= {("task.timed_out", task): 1 for task in load.timed_out}
    assert load.entries("task.reminded", "task.escalated", "task.timed_out") == due
    rows = load.running.execute(DECISIONS)
    decisions = Counter((str(UUID(str(task))), act) for task, act in rows)
    mine = {key: count for key, count in decisions.items() if key[0] in load.timed_out}
    assert mine == {(task, "timed_out"): 1 for task in load.timed_out}
    assert told(webhook) == {("task.timed_out", task): 1 for task in load.timed_out}
    effects = service.effects()
    assert {call["id"]: effects[call["id"]] for call in load.approved} == {
        call["id"]: 1 for call in load.approved
    }
    assert [effects[call["id"]] for call in load.late] == [0] * NUMBER
    for call in load.late:
        assert load.agent.get(f"tool-calls/{call['id']}").ok()["status"] == "timed_out"
    assert "whole" in load.running.manage("verify_audit")


def back_to_one(running: Installation) -> None:
    running.kill(*[name for name in running.children if name != "web"])
    running.start("worker", "sweeper", "scheduler")


def dated_tasks(agent: LiveApi, seconds: list[int]) -> dict[int, str]:
    """Tasks with these deadlines, asked for in this order."""
    run = open_run(agent)
    return {
        each: agent.post("tasks", {"run": run, "title": "When?", "timeout_seconds": each}).ok(201)[
            "id"
        ]
        for each in seconds
    }


def time_outs(running: Installation, tasks: dict[int, str]) -> list[str]:
    rows = running.execute(ENTRIES)
    return [task for task, verb in rows if verb == "task.timed_out" and task in tasks.values()]


def test_after_hours_without_a_scheduler_what_is_due_fires_once_and_the_oldest_first(
    installation: Installation,
) -> None:
    running = installation
    running.kill("scheduler", "sweeper")
    agent = running.api("runs,read", "--agent", "support")
    tasks = dated_tasks(agent, [7200, 60, 10_800, 3600, 600, 14_400])
    later = dated_tasks(agent, [36_000])
    running.move_clock(5 * 3600)
    running.start("sweeper", "scheduler")
    until(lambda: len(time_outs(running, tasks)) >= len(tasks), PATIENCE)
    until(lambda: not overdue(running), PATIENCE)
    assert time_outs(running, tasks) == [tasks[each] for each in sorted(tasks)]
    assert time_outs(running, later) == []


def overdue(running: Installation) -> bool:
    checks = running.api("read").get("/readyz")["checks"]
    return bool(checks["deadlines"]["overdue_seconds"] > 0)


def test_a_schedule_that_was_emptied_is_there_again_after_a_start(
    installation: Installation,
) -> None:
    running = installation
    running.kill("scheduler", "sweeper")
    for table in SCHEDULES:
        running.execute(f"DELETE FROM django_celery_beat_{table}")
    agent = running.api("runs,read", "--agent", "support")
    tasks = dated_tasks(agent, [60])
    running.move_clock(61)
    running.start("sweeper", "scheduler")
    until(lambda: len(time_outs(running, tasks)) >= 1, PATIENCE)
    names = {row[0] for row in running.execute("SELECT name FROM django_celery_beat_periodictask")}
    assert {"sweep", "prune", "learn"} <= names
