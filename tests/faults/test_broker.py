"""A broker that is stopped, hangs or forgets costs delay, never an approval; nobody is held up."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.harness.gate import Gate
from tests.harness.installation import Installation, database_of_its_own, purge, vhost_of_its_own
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
        url = stack.enter_context(database_of_its_own(os.environ["DATABASE_URL"]))
        behind = vhost.replace(":5672", f":{gate.port}")
        home = tmp_path_factory.mktemp("broken") / "home"
        running = Installation(home, database_url=url, broker_url=behind).prepare()
        stack.callback(running.stop)
        yield Broken(running.start(), gate, vhost)


@pytest.mark.parametrize(("state", "limit"), [("stop", 1.0), ("hole", 1.5), ("open", 1.0)])
def test_decisions_go_on_and_everything_is_executed_afterwards(
    broken: Broken, state: str, limit: float, capsys: pytest.CaptureFixture[str]
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
        took = []
        for number, call in enumerate(calls):
            begun = time.monotonic()
            person.post(f"tasks/{call['task']}/approve").ok()
            took.append(time.monotonic() - begun)
            if state == "open" and number % 3 == 0:
                purge(broken.vhost)
        broken.gate.open()
        for call in calls:
            assert running.settled(agent, call["id"], within=90)["status"] == "succeeded"
        effects = service.effects()
        assert [effects[call["id"]] for call in calls] == [1] * len(calls)
    took.sort()
    with capsys.disabled():
        print(  # noqa: T201 - the figures of this suite
            f"\nbroker {state}: decision p50 {took[len(took) // 2]:.3f} s, slowest {took[-1]:.3f} s"
        )
    # The median, because the slowest of a few says more of the machine than of the broker; and
    # five decisions on a busy machine say little at all.
    assert took[len(took) // 2] < (limit if ROUNDS > 1 else 5 * limit)


def test_without_any_worker_the_sweep_of_cron_does_it_all(broken: Broken) -> None:
    running = broken.installation
    agent = running.api("runs,read", "--agent", "support")
    broken.gate.stop()
    running.kill("worker", "sweeper", "scheduler")
    with Receiver() as service:
        running.probe(service)
        call = running.refund(agent, 40).ok(201)
        assert '"calls_executed": 1' in running.manage("sweep")
        assert agent.get(f"tool-calls/{call['id']}").ok()["status"] == "succeeded"
        assert service.effects()[call["id"]] == 1
    broken.gate.open()
    running.start("worker", "sweeper", "scheduler")
