"""Thirty-two who each want something of one task: one of them decides, and all hear so."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest

from tests.answers import Answer
from tests.harness.catalogue import OPERATIONS
from tests.harness.figures import Figures
from tests.harness.installation import Installation, LiveApi, open_run
from tests.harness.receiver import Receiver

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("crowd")]
TASKS = 5 * int(os.environ.get("ASSENT_FAULT_ROUNDS", "1"))
DECIDE = ("approve", "edit", "reject", "complete", "bulk")
END = (*DECIDE, "cancel", "withdraw", "finish", "terminate")
TOO_LATE = {
    "already_completed",
    "already_cancelled",
    "already_executing",
    "already_finished",
    "run_ended",
    "session_ended",
    "stale_revision",
}
DECISIONS = """
    SELECT t.id, t.status, (SELECT count(*) FROM tasks_app_decision d WHERE d.task_id = t.id)
    FROM tasks_app_usertask t
"""
Act = Callable[[], Answer]


class Crowd:
    """Keys and connections of those who race; each has its own."""

    def __init__(self, running: Installation) -> None:
        agent, admin = running.key("runs,read", "--agent", "support"), running.key("decide,read")
        self.agents = [LiveApi(running.url, agent) for _ in range(10)]
        self.people = [LiveApi(running.url, admin) for _ in range(22)]

    def acts(self, call: Answer, *, withdrawn: bool) -> list[tuple[str, Act]]:
        """What each of the thirty-two does with a call and its task.

        Args:
            call: that waits.
            withdrawn: whether agents take part to withdraw it; else they only talk.
        """
        task, run = f"tasks/{call['task']}", f"runs/{call['run']}"
        agents, people = iter(self.agents), iter(self.people)
        arguments = {"charge": "ch_1", "amount": 450}
        item = {"task": call["task"], "action": "approve", "revision": 1}
        plan: list[tuple[str, int, Callable[[], LiveApi], str, object]] = [
            ("approve", 6, lambda: next(people), f"{task}/approve", {}),
            ("edit", 3, lambda: next(people), f"{task}/approve", {"draft": arguments}),
            ("reject", 5, lambda: next(people), f"{task}/reject", {"comment": "no"}),
            ("complete", 2, lambda: next(people), f"{task}/complete", {"action": "approve"}),
            ("bulk", 2, lambda: next(people), "tasks/bulk-complete", {"items": [item]}),
            ("ask", 2, lambda: next(people), f"{task}/ask", {"question": "why?"}),
            ("comment", 2, lambda: next(people), f"{task}/comments", {"text": "hm"}),
        ]
        withdrawals: list[tuple[str, int, Callable[[], LiveApi], str, object]] = [
            ("cancel", 3, lambda: next(agents), f"{task}/cancel", {"reason": "never mind"}),
            ("withdraw", 3, lambda: next(agents), f"tool-calls/{call['id']}/cancel", {}),
            ("finish", 2, lambda: next(agents), f"{run}/complete", {}),
            ("terminate", 2, lambda: next(agents), f"{run}/terminate", {"reason": "enough"}),
        ]
        talk = ("comment", 10, lambda: next(agents), f"{task}/comments", {"text": "please"})
        plan += withdrawals if withdrawn else [talk]
        return [
            (name, partial(chosen().post, path, body))
            for name, times, chosen, path, body in plan
            for _ in range(times)
        ]


def race(acts: list[tuple[str, Act]]) -> list[tuple[str, Answer]]:
    barrier, answers = threading.Barrier(len(acts)), dict[int, Answer]()

    def go(position: int) -> None:
        barrier.wait()
        answers[position] = acts[position][1]()

    threads = [threading.Thread(target=go, args=[position]) for position in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [(acts[position][0], answers[position]) for position in range(len(acts))]


def outcome(name: str, answer: Answer) -> str:
    """`won`, or the code of the refusal."""
    assert answer.status < 500, (name, answer.text)
    if answer.status in (200, 201):
        result = answer["results"][0] if name == "bulk" else {}
        return result.get("code") or "won"
    return str(answer["code"])


def test_one_of_thirty_two_decides(
    installation: Installation, service: Receiver, figures: Figures
) -> None:
    editable = {
        **OPERATIONS["refund"],
        "approval": {"when": "args.amount > 100", "allow_edit": True},
    }
    admin = installation.api("admin,read")
    admin.put("integrations/payments/operations/refund", editable).ok()
    crowd, begun = Crowd(installation), time.monotonic()
    agent, ways, ended = crowd.agents[0], Counter[str](), Counter[str]()
    calls = []
    for number in range(TASKS):
        call = installation.refund(agent, 900, run=open_run(agent)).ok(201)
        calls.append(call)
        acts = crowd.acts(call, withdrawn=number % 3 == 2)
        told = [(name, outcome(name, answer)) for name, answer in race(acts)]
        assert len(told) == 32
        lost = {code for name, code in told if name in END and code != "won"}
        assert lost <= TOO_LATE, lost - TOO_LATE
        decided = [name for name, code in told if name in DECIDE and code == "won"]
        assert len(decided) <= 1, told
        ways[decided[0] if decided else "nobody, it was withdrawn"] += 1
    for call in calls:
        done = installation.settled(agent, call["id"])
        ended[done["status"]] += 1
        times = service.effects()[call["id"]]
        assert times == (1 if done["status"] == "succeeded" else 0), (done.json, times)
    rows = {row[0]: row[1:] for row in installation.execute(DECISIONS)}
    tasks = [rows[_key(installation, call["task"])] for call in calls]
    # A withdrawal is written down as a decision too.
    assert all(count == 1 and status in ("completed", "cancelled") for status, count in tasks)
    assert "whole" in installation.manage("verify_audit")
    figures.say(
        f"32 racers for each of {TASKS} tasks in {time.monotonic() - begun:.0f} s:"
        f" decided by {dict(ways)}, calls {dict(ended)}"
    )


def _key(running: Installation, task: str) -> object:
    """An id as the database gives it."""
    return UUID(task) if running.database_url else UUID(task).hex
