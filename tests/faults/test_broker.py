"""A broker that is stopped, hangs or forgets costs delay, never an approval; nobody is held up."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.harness.figures import Figures
from tests.harness.gate import Gate
from tests.harness.installation import (
    Installation,
    LiveApi,
    database_of_its_own,
    open_run,
    purge,
    vhost_of_its_own,
)
from tests.harness.receiver import Receiver

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.broker,
    pytest.mark.xdist_group("broker"),
    pytest.mark.skipif(
        not os.environ.get("DATABASE_URL", "").startswith("postgres"),
        reason="belongs to the run on PostgreSQL",
    ),
]
ROUNDS = int(os.environ.get("ASSENT_FAULT_ROUNDS", "1"))
DECISIONS = 5 * ROUNDS
OUTAGE = 6.0 * ROUNDS if ROUNDS > 1 else 0.0
"""Seconds that the broker is away while people decide: ten minutes in the full profile."""

BETWEEN_SWEEPS = 15.0 if ROUNDS > 1 else 0.0
PURGE_AFTER = 5.0 if ROUNDS > 1 else 0.0


class Broken:
    """An installation whose way to RabbitMQ leads through a gate."""

    def __init__(self, installation: Installation, gate: Gate, vhost: str) -> None:
        self.installation, self.gate, self.vhost = installation, gate, vhost


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    with ExitStack() as stack:
        vhost = stack.enter_context(vhost_of_its_own())
        gate = Gate("127.0.0.1", 5672)
        stack.callback(gate.close)
        server_url = os.environ["DATABASE_URL"]
        url = stack.enter_context(database_of_its_own(server_url, migrated=True))
        behind = vhost.replace(":5672", f":{gate.port}")
        home = tmp_path_factory.mktemp("broken") / "home"
        running = Installation(home, database_url=url, broker_url=behind).prepare()
        stack.callback(running.stop)
        yield Broken(running.start(), gate, vhost)


@pytest.mark.parametrize(("state", "limit"), [("stop", 0.5), ("hole", 1.5), ("open", 0.5)])
def test_decisions_go_on_and_everything_is_executed_afterwards(
    broken: Broken, state: str, limit: float, figures: Figures
) -> None:
    running = broken.installation
    agent = running.api("runs,read", "--agent", "support")
    person = running.api("decide,read")
    with Receiver() as service:
        running.probe(service)
        run = agent.post("sessions", {"agent": "support"}).ok(201)["id"]
        run = agent.post("runs", {"session": run}).ok(201)["id"]
        calls = [running.refund(agent, 900, run=run).ok(201) for _ in range(DECISIONS)]
        getattr(broken.gate, state)()
        took: list[float] = []
        since = purged = time.monotonic()
        for number, call in enumerate(calls):
            time.sleep(max(0.0, since + OUTAGE * number / DECISIONS - time.monotonic()))
            took.append(approve(person, call["task"]))
            if state == "open" and time.monotonic() - purged >= PURGE_AFTER:
                purge(broken.vhost)
                purged = time.monotonic()
        broken.gate.open()
        for call in calls:
            assert running.settled(agent, call["id"])["status"] == "succeeded"
        effects = service.effects()
        assert [effects[call["id"]] for call in calls] == [1] * len(calls)
    away = time.monotonic() - since
    figures.say(f"broker {state}, {OUTAGE:.0f} s: {told(took)}; {away:.0f} s until all was done")
    assert_fast(took, limit)


def approve(person: LiveApi, task: str) -> float:
    """Seconds that a decision took."""
    begun = time.monotonic()
    person.post(f"tasks/{task}/approve").ok()
    return time.monotonic() - begun


def p95(took: list[float]) -> float:
    return sorted(took)[int(0.95 * len(took))]


def told(took: list[float]) -> str:
    median, slow, slowest = sorted(took)[len(took) // 2], p95(took), max(took)
    return f"{len(took)} decisions, p50 {median:.3f} s, p95 {slow:.3f} s, slowest {slowest:.3f} s"


def assert_fast(took: list[float], limit: float) -> None:
    """The limit is for the 95th of a hundred; of five on a busy machine the median says enough."""
    if ROUNDS > 1:
        assert p95(took) < limit
    else:
        assert sorted(took)[len(took) // 2] < 10 * limit


def test_without_any_worker_the_sweep_of_cron_does_it_all(broken: Broken, figures: Figures) -> None:
    running = broken.installation
    agent, person = running.api("runs,read", "--agent", "support"), running.api("decide,read")
    broken.gate.stop()
    running.kill("worker", "sweeper", "scheduler")
    run, took, asked = open_run(agent), list[float](), 0
    with Receiver() as service:
        running.probe(service)
        for _ in range(min(ROUNDS, 40)):
            since = time.monotonic()
            calls = [running.refund(agent, 900, run=run).ok(201) for _ in range(5)]
            took += [approve(person, call["task"]) for call in calls]
            asked += len(calls)
            time.sleep(max(0.0, since + BETWEEN_SWEEPS - time.monotonic()))
            assert f'"calls_executed": {len(calls)}' in running.manage("sweep")
            for call in calls:
                assert agent.get(f"tool-calls/{call['id']}").ok()["status"] == "succeeded"
        effects = service.effects()
        assert (len(effects), set(effects.values())) == (asked, {1})
    figures.say(f"broker absent, a sweep every {BETWEEN_SWEEPS:.0f} s: {told(took)}")
    assert_fast(took, 0.5)
    broken.gate.open()
    running.start("worker", "sweeper", "scheduler")
