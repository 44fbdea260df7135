"""Machines whose clocks are hours and days wrong: what is due comes when the database says so."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.harness.installation import (
    Installation,
    database_of_its_own,
    open_run,
    until,
    vhost_of_its_own,
)
from tests.harness.receiver import Receiver

HOUR, DAY = 3600, 86_400
pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.broker,
    pytest.mark.xdist_group("clocks"),
    # The embedded database has the clock of the one machine that all processes run on.
    pytest.mark.skipif(
        not os.environ.get("DATABASE_URL", "").startswith("postgres"),
        reason="belongs to the run on PostgreSQL",
    ),
]


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation that ran with right clocks: what it wrote down is in the future of some."""
    with ExitStack() as stack:
        server_url = os.environ["DATABASE_URL"]
        urls = {
            "database_url": stack.enter_context(database_of_its_own(server_url, migrated=True)),
            "broker_url": stack.enter_context(vhost_of_its_own()),
        }
        home = tmp_path_factory.mktemp("clocks") / "home"
        running = Installation(home, **urls).prepare()
        stack.callback(running.stop)
        running.start()
        until(lambda: running.api("read").get("/readyz").status == 200)
        yield running


@pytest.mark.parametrize(
    ("web", "worker", "sweeper", "scheduler"),
    [(HOUR, -DAY, DAY, -HOUR), (-DAY, HOUR, -DAY, DAY), (DAY, 0, HOUR, 0)],
)
def test_nothing_is_early_late_or_doubled(
    right: Installation, web: float, worker: float, sweeper: float, scheduler: float
) -> None:
    running = right
    running.kill()
    running.start("web", skew=web)
    running.start("worker", skew=worker)
    running.start("sweeper", skew=sweeper)
    running.start("scheduler", skew=scheduler)
    agent, person = running.api("runs,read", "--agent", "support"), running.api("decide,read")
    with Receiver() as service:
        running.probe(service)
        run = open_run(agent)
        call = running.refund(agent, 900, run=run).ok(201)
        asked = {"run": run, "title": "In time?", "timeout_seconds": 300}
        soon = agent.post("tasks", asked).ok(201)["id"]
        late = agent.post("tasks", {**asked, "timeout_seconds": 7200}).ok(201)["id"]
        person.post(f"tasks/{call['task']}/approve").ok()
        assert running.settled(agent, call["id"])["status"] == "succeeded"
        assert agent.get(f"tasks/{soon}").ok()["status"] == "pending"

        running.move_clock(301)
        until(lambda: agent.get(f"tasks/{soon}").ok()["status"] == "completed")
        assert agent.get(f"tasks/{soon}")["outcome"]["decided_by"] is None, "nobody did"
        # One more turn of the scheduler arrives, or all that follows would come late.
        turns = "SELECT at FROM accounts_app_heartbeat WHERE name = 'scheduler'"
        before = running.execute(turns)
        until(lambda: running.execute(turns) != before)
        assert agent.get(f"tasks/{late}").ok()["status"] == "pending"
        person.post(f"tasks/{late}/approve").ok()
        assert service.effects() == {call["id"]: 1}
    assert "whole" in running.manage("verify_audit")
