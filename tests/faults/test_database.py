"""A database that dies under load: every answered 2xx is there, everything is done exactly once."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest

from tests.harness.figures import Figures
from tests.harness.installation import Installation, LiveApi, open_run
from tests.harness.receiver import Receiver
from tests.throwaway_postgres import Throwaway, throwaway

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.xdist_group("database"),
    pytest.mark.skipif(
        not os.environ.get("DATABASE_URL", "").startswith("postgres"),
        reason="belongs to the run on PostgreSQL",
    ),
]
CRASHES = 2 * int(os.environ.get("ASSENT_FAULT_ROUNDS", "1"))
BETWEEN = 4
"""So many approvals by each person lie between two deaths at the least."""
QUESTIONS = """
    SELECT count(*) FROM tasks_app_usertask WHERE tool_call_id = :call AND status = 'pending'
"""


@pytest.fixture
def server() -> Iterator[Throwaway]:
    with throwaway(durable=True) as running:
        yield running


class Pair:
    """An agent and a person who never give up, and note what they were answered.

    The agent asks under a key, so that asking again after a lost answer asks for the same call.
    """

    def __init__(self, running: Installation, name: str) -> None:
        self.name = name
        self.agent = running.api("runs,read", "--agent", "support")
        self.person = running.api("decide,read")
        self.run = open_run(self.agent)
        self.approved: list[str] = []
        self.lost = 0
        self.wrong: list[str] = []
        self.over = threading.Event()

    def work(self) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            body = {
                "run": self.run,
                "key": f"{self.name}-{number}",
                "operation": "payments.refund",
                "arguments": {"charge": "ch_1", "amount": 900},
            }
            call = self.insist(self.agent, "tool-calls", body)
            if call is None:
                return
            if self.insist(self.person, f"tasks/{call['task']}/approve", {}) is None:
                return
            self.approved.append(call["id"])

    def insist(self, api: LiveApi, path: str, body: dict[str, object]) -> dict[str, str] | None:
        """The answer, once there is one; None when something was answered that must not be."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                answer = api.post(path, body)
            except httpx2.TransportError:
                self.lost += 1
                continue
            if answer.status in (200, 201):
                return dict(answer.json)
            if answer.status == 503 and answer["code"] == "unavailable":
                self.lost += 1
                time.sleep(0.05)
                continue
            # Its own approval was committed, and its answer lost with the connection.
            if answer.status == 409 and answer["code"] == "already_completed":
                return {}
            break
        self.wrong.append(f"{path}: {answer.status} {answer.text[:300]}")
        return None


def test_a_database_that_dies_under_load(
    server: Throwaway, tmp_path_factory: pytest.TempPathFactory, figures: Figures
) -> None:
    home = tmp_path_factory.mktemp("dying") / "home"
    with ExitStack() as stack:
        running = Installation(home, database_url=server.url).prepare()
        stack.callback(running.stop)
        running.start()
        service = stack.enter_context(Receiver())
        running.probe(service)
        pairs = [Pair(running, name) for name in ("one", "two", "three")]
        threads = [threading.Thread(target=pair.work, daemon=True) for pair in pairs]
        for thread in threads:
            thread.start()
        for _ in range(CRASHES):
            aims = [len(pair.approved) + BETWEEN for pair in pairs]
            until = time.monotonic() + 120
            while any(
                len(pair.approved) < aim and not pair.wrong
                for pair, aim in zip(pairs, aims, strict=True)
            ):
                assert time.monotonic() < until, [len(pair.approved) for pair in pairs]
                time.sleep(0.02)
            server.crash()
        for pair in pairs:
            pair.over.set()
        for thread in threads:
            thread.join(90)
        assert [pair.wrong for pair in pairs] == [[], [], []]
        # The leases of workers whose answer was lost with the connection run out.
        running.move_clock(61)
        calls = [(pair.agent, call) for pair in pairs for call in pair.approved]
        ended = {call: running.settled(agent, call, within=150) for agent, call in calls}
        effects = service.effects()
        unknown = [call for call, answer in ended.items() if answer["status"] == "unknown"]
        for call, answer in ended.items():
            if answer["status"] == "unknown":
                assert effects.get(call, 0) <= 1, call
                assert running.execute(QUESTIONS, call=call) == [(1,)], call
            else:
                assert (answer["status"], effects.get(call)) == ("succeeded", 1), (call, answer)
        assert set(effects) == set(ended), "what nobody approved was sent"
        readiness = pairs[0].agent.get("/readyz")
        assert readiness["checks"]["database"] == {"ok": True}, json.dumps(readiness.json)
        assert "whole" in running.manage("verify_audit")
        lost = sum(pair.lost for pair in pairs)
    figures.say(
        f"database: {CRASHES} deaths, {len(calls)} approved calls,"
        f" {lost} answers lost or 503, {len(unknown)} unknown, 0 lost, 0 doubled"
    )
