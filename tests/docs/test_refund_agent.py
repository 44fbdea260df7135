"""The plain HTTP example, run as its reader would, while script and server are killed."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.server import PROJECT, Server

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("server")]
SCRIPT = PROJECT / "docs" / "examples" / "refund_agent.py"


class Agent:
    """The script in a process of its own, its output in a file."""

    def __init__(self, server: Server, job: str, folder: Path) -> None:
        self.server, self.job, self.path = server, job, folder / f"{job}-{time.monotonic_ns()}"
        environment = {
            **server.environment,
            "ASSENT_URL": server.url,
            "ASSENT_KEY": server.key("runs,read", "--agent", "support"),
        }
        with self.path.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), job],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def waits_for_a_person(self) -> None:
        until = time.monotonic() + 40
        while "waits for a person" not in self.said:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.05)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def ends(self) -> str:
        assert self.process.wait(timeout=60) == 0, self.said
        return self.said


@pytest.fixture
def agents(server: Server, tmp_path: Path) -> Iterator[list[Agent]]:
    started: list[Agent] = []
    yield started
    for agent in started:
        agent.kill()


def pending_task(server: Server, job: str) -> str:
    tasks = server.ask("decide,read", "GET", "tasks?status=pending&limit=100")["results"]
    calls = {call["id"]: call for call in server.ask("decide,read", "GET", "tool-calls")["results"]}
    (found,) = [
        task["id"]
        for task in tasks
        if calls.get(task["tool_call"], {}).get("key") == f"{job}/{job}-large"
    ]
    return str(found)


def refunded(server: Server, job: str) -> list[float]:
    return [effect["amount"] for effect in server.refunds() if effect["charge"].startswith(job)]


def test_a_small_refund_runs_at_once_and_a_large_one_when_approved(
    server: Server, agents: list[Agent], tmp_path: Path
) -> None:
    agents.append(agent := Agent(server, "plain", tmp_path))
    agent.waits_for_a_person()
    assert refunded(server, "plain") == [40]
    task = pending_task(server, "plain")
    server.ask("decide,read", "POST", f"tasks/{task}/approve", {"comment": "fine"})
    said = agent.ends()
    assert re.search(r"^40 € for plain-small: refunded as re_\w+$", said, re.MULTILINE)
    assert re.search(r"^900 € for plain-large: refunded as re_\w+$", said, re.MULTILINE)
    assert refunded(server, "plain") == [40, 900]


def test_a_rejection_arrives_with_its_comment(
    server: Server, agents: list[Agent], tmp_path: Path
) -> None:
    agents.append(agent := Agent(server, "no", tmp_path))
    agent.waits_for_a_person()
    task = pending_task(server, "no")
    server.ask("decide,read", "POST", f"tasks/{task}/reject", {"comment": "Ask for a photo first."})
    assert "900 € for no-large: rejected: Ask for a photo first." in agent.ends()
    assert refunded(server, "no") == [40]


def test_killed_at_any_point_it_gets_the_same_call_and_result(
    server: Server, agents: list[Agent], tmp_path: Path
) -> None:
    """SIGKILL of the script, of the whole server while the script waits, and of both."""
    agents.append(first := Agent(server, "killed", tmp_path))
    first.waits_for_a_person()
    first.kill()

    agents.append(second := Agent(server, "killed", tmp_path))
    second.waits_for_a_person()
    server.kill()
    time.sleep(1)
    server.start()
    task = pending_task(server, "killed")
    second.kill()
    server.ask("decide,read", "POST", f"tasks/{task}/approve")
    server.kill()
    server.start()

    agents.append(third := Agent(server, "killed", tmp_path))
    done = third.ends()
    agents.append(fourth := Agent(server, "killed", tmp_path))
    assert fourth.ends() == "".join(
        line for line in done.splitlines(keepends=True) if "waits" not in line
    )
    assert refunded(server, "killed") == [40, 900]


def test_a_server_killed_under_a_waiting_script_is_waited_for(
    server: Server, agents: list[Agent], tmp_path: Path
) -> None:
    agents.append(agent := Agent(server, "patient", tmp_path))
    agent.waits_for_a_person()
    server.kill()
    time.sleep(1.5)
    assert agent.process.poll() is None
    server.start()
    task = pending_task(server, "patient")
    server.ask("decide,read", "POST", f"tasks/{task}/approve")
    said = agent.ends()
    assert "Assent is away" in said
    assert "900 € for patient-large: refunded as re_" in said
    assert refunded(server, "patient") == [40, 900]
