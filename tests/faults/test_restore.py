"""A real dump, taken in the middle of things, restored as docs/operations.md says (promise 17).

What the dump shows as queued has gone out meanwhile; after the restore nothing of it goes out
again until an admin releases it.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests import throwaway_postgres
from tests.harness.installation import Installation, LiveApi, database_of_its_own, open_run
from tests.harness.receiver import Hit, Receiver

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("faults")]


@dataclass
class Dumped:
    """An installation that went on after its dump was taken.

    Args:
        service: what reached the payments service and the webhook.
        calls: by what they did when the dump was taken.
        waiting: the task of the call that waited for a person.
        restored: the dump in a database of its own, not yet started.
    """

    service: Receiver
    calls: dict[str, str]
    waiting: str
    restored: Installation


def run(program: str, *arguments: object) -> None:
    command = [throwaway_postgres.programs() / program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def sweep(running: Installation) -> None:
    """Everything that is due by now and two minutes later, without broker or worker."""
    running.manage("sweep")
    running.move_clock(120)
    running.manage("sweep")


@pytest.fixture
def dumped(tmp_path: Path) -> Iterator[Dumped]:
    server_url = os.environ.get("DATABASE_URL", "")
    if not server_url.startswith("postgres"):
        pytest.skip("belongs to the run on PostgreSQL")
    with ExitStack() as stack:
        first, second = (stack.enter_context(database_of_its_own(server_url)) for _ in range(2))
        service = stack.enter_context(Receiver())
        running = Installation(tmp_path / "home", database_url=first).prepare()
        stack.callback(running.stop)
        calls, waiting = fill(running.start("web"), service)
        run("pg_dump", "--format=custom", f"--file={tmp_path / 'assent.dump'}", first)
        # The world goes on: what was queued and due goes out, and the dump does not know.
        sweep(running)
        running.kill("web")
        run(
            "pg_restore",
            "--no-owner",
            "--exit-on-error",
            f"--dbname={second}",
            tmp_path / "assent.dump",
        )
        restored = Installation(tmp_path / "home", database_url=second)
        restored.take_keys(running)
        stack.callback(restored.stop)
        yield Dumped(service, calls, waiting, restored)


def fill(running: Installation, service: Receiver) -> tuple[dict[str, str], str]:
    """A call in every state in which it goes on by itself, and webhooks that are due."""
    running.probe(service)
    hook = {"url": f"{service.url}/ok/hook", "events": ["task.created", "tool_call.finished"]}
    hook |= {"allow_private_network": True, "enabled": True}
    running.api("admin,read").put("webhooks/ops", hook).ok(201)
    agent, decider = running.api("runs,read", "--agent", "support"), running.api("decide,read")
    thread = open_run(agent)

    def refund(amount: float) -> dict[str, str]:
        answer = running.refund(agent, amount, run=thread).ok(201)
        return {"id": answer["id"], "task": answer["task"]}

    done = refund(50)
    running.manage("sweep")
    lost = refund(51)
    running.start("worker", faults="send.after=kill9")
    running.has_died("worker")
    waits, approved = refund(900), refund(901)
    decider.post(f"tasks/{approved['task']}/approve").ok()
    queued = refund(52)
    states = {"done": "succeeded", "lost": "executing", "approved": "queued", "queued": "queued"}
    calls = {"done": done, "lost": lost, "approved": approved, "queued": queued}
    for name, status in states.items():
        assert agent.get(f"tool-calls/{calls[name]['id']}")["status"] == status, name
    return {name: call["id"] for name, call in calls.items()}, waits["task"]


def sent_calls(hits: list[Hit]) -> list[str]:
    return sorted(hit.header("Idempotency-Key") for hit in hits if hit.path != "/ok/hook")


def told(hits: list[Hit]) -> list[str]:
    return [hit.header("webhook-id") for hit in hits if hit.path == "/ok/hook"]


def test_a_restored_dump_sends_nothing_twice_and_loses_no_question(dumped: Dumped) -> None:
    service, calls, restored = dumped.service, dumped.calls, dumped.restored
    # Before the dump and after it, everything went out once.
    assert sent_calls(service.hits) == sorted(calls.values())
    before = set(told(service.hits))
    assert len(before) >= 4
    service.hits.clear()

    restored.manage("migrate")
    held = json.loads(restored.manage("restored"))
    assert held["calls_held"] == 4, "the one that waits, the lost, the approved, the queued"
    assert held["deliveries_held"] >= 1
    restored.start("web", "worker", "sweeper")
    sweep(restored)
    assert sent_calls(service.hits) == []
    assert not before & set(told(service.hits))

    agent, decider = restored.api("runs,read", "--agent", "support"), restored.api("decide,read")
    statuses = {name: agent.get(f"tool-calls/{pk}")["status"] for name, pk in calls.items()}
    assert statuses == {
        "done": "succeeded",
        "lost": "unknown",
        "approved": "queued",
        "queued": "queued",
    }
    assert agent.get(f"tasks/{dumped.waiting}")["status"] == "pending"
    decider.post(f"tasks/{dumped.waiting}/approve").ok()
    sweep(restored)
    assert sent_calls(service.hits) == []
    assert restored.manage("verify_audit") == "The audit trail is whole."
    refuse_to_forget(restored)
    release(restored, agent, dumped)


def refuse_to_forget(restored: Installation) -> None:
    """The triggers that keep the audit trail came back with it."""
    with psycopg.connect(restored.database_url) as database, pytest.raises(psycopg.Error):
        database.execute("UPDATE accounts_app_auditentry SET verb = 'nothing'")


def release(restored: Installation, agent: LiveApi, dumped: Dumped) -> None:
    """An admin looks at each: what has happened is cancelled, the rest goes out, once."""
    call = str(agent.get(f"tasks/{dumped.waiting}")["tool_call"])
    listed = restored.manage("release_held", "--workspace", "demo")
    assert {line.partition(" ")[0] for line in listed.splitlines()} >= {
        call,
        dumped.calls["queued"],
        dumped.calls["approved"],
    }
    for name in ("queued", "approved"):
        reason = {"reason": "It happened before the restore."}
        agent.post(f"tool-calls/{dumped.calls[name]}/cancel", reason).ok()
    restored.manage("release_held", "--workspace", "demo", "--by", "admin", "--call", call)
    assert restored.settled(agent, call)["status"] == "succeeded"
    assert sent_calls(dumped.service.hits) == [call]
    assert restored.manage("verify_audit") == "The audit trail is whole."
