"""A disk that is full stops the embedded installation and costs nothing that was answered.

The disk is a file system of its own, a small one in memory: only a real one says ENOSPC where
SQLite writes its log, its journal of commits and its pages.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.figures import Figures
from tests.harness.installation import Installation, LiveApi, open_run, until
from tests.harness.receiver import Receiver

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.xdist_group("full disk"),
    pytest.mark.skipif(
        os.environ.get("DATABASE_URL", "").startswith("postgres"),
        reason="belongs to the run on the embedded database",
    ),
]
MOST = 5000
"""Requests until a disk must be full that has no room left for more than SQLite has taken."""


class Disk:
    """A file system of a few megabytes, filled up and emptied by a file beside the product's.

    Args:
        place: where it is mounted.
    """

    def __init__(self, place: Path) -> None:
        self.ballast = place / "ballast"

    def fill(self) -> None:
        with self.ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue

    def empty(self) -> None:
        self.ballast.unlink()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    place = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own is mounted by root alone")
    yield Disk(place)
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(scope="module")
def small(disk: Disk) -> Iterator[tuple[Installation, Receiver]]:
    """Its log lies on the small disk too, as with `make up`."""
    with ExitStack() as stack:
        running = Installation(disk.ballast.parent / "home").prepare()
        stack.callback(running.stop)
        service = stack.enter_context(Receiver())
        running.start()
        running.probe(service)
        slow = {"name": "Slow", "method": "POST", "path": "/slow/2/things", "effect": "once"}
        running.api("admin,read").put("integrations/payments/operations/slow", slow).ok(201)
        yield running, service


def ask_until_refused(disk: Disk, running: Installation, agent: LiveApi, run: str) -> list[str]:
    """Ask for approvals until the disk is full; the calls that were answered with 201."""
    waiting = []
    for _ in range(MOST):
        disk.fill()
        answer = running.refund(agent, 900, run=run)
        if answer.status != 201:
            answer.refused(503, "unavailable")
            assert "full" in answer["detail"], answer["detail"]
            return waiting
        waiting.append(str(answer["id"]))
    raise AssertionError("The disk never was full.")


def test_what_was_answered_outlives_a_full_disk(
    disk: Disk, small: tuple[Installation, Receiver], figures: Figures
) -> None:
    running, service = small
    agent, person = running.api("runs,read", "--agent", "support"), running.api("decide,read")
    run = open_run(agent)
    asked = [running.refund(agent, 900, run=run).ok(201) for _ in range(12)]
    tasks = {str(call["id"]): str(call["task"]) for call in asked}

    body = {"run": run, "operation": "payments.slow", "arguments": {}}
    under_way = str(agent.post("tool-calls", body).ok(201)["id"])
    until(lambda: under_way in service.effects())

    late = ask_until_refused(disk, running, agent, run)
    answers = {call: person.post(f"tasks/{task}/approve") for call, task in tasks.items()}
    assert {answer.status for answer in answers.values()} <= {200, 503}, running.log[-6000:]
    assert person.get(f"tasks/{asked[0]['task']}").status == 200, "what is there can be read"
    assert agent.get("/readyz").status == 503
    refused = [call for call, answer in answers.items() if answer.status == 503]
    assert refused

    disk.empty()
    until(lambda: agent.get("/readyz").status == 200)
    for call in refused:
        person.post(f"tasks/{tasks[call]}/approve").ok()
    for call in tasks:
        assert running.settled(agent, call)["status"] == "succeeded", call
    for call in late:
        assert agent.get(f"tool-calls/{call}").ok()["status"] == "awaiting_approval", call
    # Sent before the disk was full, answered after: what came of it may not have been kept.
    running.move_clock(61)
    assert running.settled(agent, under_way)["status"] in ("succeeded", "unknown")
    assert service.effects() == dict.fromkeys([*tasks, under_way], 1)
    assert running.execute("PRAGMA integrity_check") == [("ok",)]
    assert "whole" in running.manage("verify_audit")
    assert all(
        child.process and child.process.poll() is None for child in running.children.values()
    )
    figures.say(
        f"full disk: {len(late)} asked until it was full, {len(refused)} of {len(tasks)}"
        " approvals refused, all done once when there was room"
    )
