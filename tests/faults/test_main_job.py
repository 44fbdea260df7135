"""The main job with real processes, on the embedded default and on PostgreSQL with RabbitMQ."""

import time
from uuid import UUID

import pytest

from tests.harness.catalogue import TOKEN
from tests.harness.installation import PATIENCE, Installation, open_run
from tests.harness.receiver import Receiver

pytestmark = [pytest.mark.enable_socket, pytest.mark.xdist_group("installation")]


def effects(service: Receiver, call: str) -> int:
    return service.effects()[call]


def test_a_small_refund_runs_at_once(installation: Installation, service: Receiver) -> None:
    agent = installation.api("runs,read", "--agent", "support")
    call = installation.refund(agent, 40).ok(201)
    assert call["task"] is None
    done = installation.settled(agent, call["id"])
    assert (done["status"], done["result"]["status_code"]) == ("succeeded", 200)
    assert effects(service, call["id"]) == 1


def test_an_approved_refund_reaches_the_waiting_agent_within_a_second(
    installation: Installation, service: Receiver
) -> None:
    agent = installation.api("runs,read", "--agent", "support")
    person = installation.api("decide,read")
    took = []
    # Three times, because the machine may have other things to do at one of them.
    for _ in range(3):
        call = installation.refund(agent, 900).ok(201)
        assert call["status"] == "awaiting_approval"
        waiter = installation.waiting(agent, f"tool-calls/{call['id']}")
        time.sleep(0.5)
        assert not waiter.done()
        assert effects(service, call["id"]) == 0
        person.post(f"tasks/{call['task']}/approve", {"comment": "fine"}).ok()
        decided_at = time.monotonic()
        answer = waiter.result(timeout=PATIENCE).ok()
        assert answer["status"] == "succeeded"
        took.append(answer.arrived_at - decided_at)
        assert effects(service, call["id"]) == 1
    assert min(took) < 5


def test_whose_time_is_over_hears_the_present_state_even_where_the_news_was_lost(
    installation: Installation, service: Receiver
) -> None:
    agent = installation.api("runs,read", "--agent", "support")
    task = agent.post("tasks", {"run": open_run(agent), "title": "Ship it?"}).ok(201)
    path = f"tasks/{task['id']}/result"
    at_once = agent.get(path).ok()
    begun = time.monotonic()
    held = installation.waiting(agent, path, 1).result(timeout=PATIENCE).ok()
    assert held.arrived_at - begun >= 1
    assert held.json == at_once.json
    assert set(held.headers) == set(at_once.headers)
    waiter = installation.waiting(agent, path, 3)
    time.sleep(0.5)
    # Past the product, so that nobody is woken.
    identity = task["id"] if installation.database_url else UUID(task["id"]).hex
    statement = "UPDATE tasks_app_usertask SET status = 'cancelled' WHERE id = :task"
    installation.execute(statement, task=identity)
    assert waiter.result(timeout=PATIENCE).ok()["status"] == "cancelled"


def test_a_rejected_refund_is_never_sent(installation: Installation, service: Receiver) -> None:
    agent = installation.api("runs,read", "--agent", "support")
    call = installation.refund(agent, 900).ok(201)
    waiter = installation.waiting(agent, f"tool-calls/{call['id']}")
    body = {"comment": "too much"}
    installation.api("decide,read").post(f"tasks/{call['task']}/reject", body).ok()
    answer = waiter.result(timeout=PATIENCE).ok()
    assert answer["status"] == "rejected"
    assert answer["error"] == {"code": "rejected", "detail": "too much"}
    assert effects(service, call["id"]) == 0


def test_the_logs_hold_no_words_of_people_and_agents(
    installation: Installation, service: Receiver
) -> None:
    """Comments, drafts, answers and credentials stay out, at the loudest level."""
    agent = installation.api("runs,read", "--agent", "support")
    person = installation.api("decide,read")
    call = installation.refund(agent, 901, reason="canary-reason").ok(201)
    person.post(f"tasks/{call['task']}/approve", {"comment": "canary-comment"}).ok()
    person.post(f"tasks/{call['task']}/approve", {"comment": "canary-late"}).refused(
        409, "already_completed"
    )
    asked = {"agent": "support", "title": "Q", "kind": "text", "draft": "canary-draft"}
    task = agent.post("tasks", asked, X_Request_ID="request-of-this-test").ok(201)
    person.post(f"tasks/{task['id']}/complete", {"value": "canary-answer"}).ok()
    person.post(f"tasks/{task['id']}/complete", {}, X_Request_ID="late-one").refused(
        409, "already_completed"
    )
    installation.settled(agent, call["id"])
    log = installation.log
    assert '"request_id": "late-one"' in log
    assert "canary-" not in log
    assert TOKEN not in log


def test_everything_killed_while_the_call_waits(
    installation: Installation, service: Receiver
) -> None:
    agent = installation.api("runs,read", "--agent", "support")
    person = installation.api("decide,read")
    run = open_run(agent)
    asked = {"run": run, "key": "order-7"}
    call = installation.refund(agent, 900, **asked).ok(201)
    installation.kill()
    installation.start()
    assert person.get(f"tasks/{call['task']}").ok()["status"] == "pending"
    assert installation.refund(agent, 900, **asked).ok(200)["id"] == call["id"]
    person.post(f"tasks/{call['task']}/approve").ok()
    done = installation.settled(agent, call["id"])
    assert done["status"] == "succeeded"
    again = installation.refund(agent, 900, **asked).ok(200)
    assert (again["id"], again["result"]) == (call["id"], done["result"])
    assert effects(service, call["id"]) == 1


def test_everything_killed_right_after_the_decision(
    installation: Installation, service: Receiver
) -> None:
    """The decision was answered, so it holds; the message to the worker may be lost."""
    agent = installation.api("runs,read", "--agent", "support")
    installation.kill("worker", "sweeper", "scheduler")
    call = installation.refund(agent, 900).ok(201)
    installation.api("decide,read").post(f"tasks/{call['task']}/approve").ok()
    installation.kill("web")
    installation.start()
    assert installation.settled(agent, call["id"])["status"] == "succeeded"
    assert effects(service, call["id"]) == 1


@pytest.mark.parametrize(
    ("slug", "point", "status", "hits"),
    [
        ("refund", "mark.after", "unknown", 0),
        ("refund", "send.after", "unknown", 1),
        ("refund", "claim.after", "succeeded", 1),
        ("send_receipt", "send.after", "succeeded", 2),
    ],
)
def test_a_worker_killed_at_work(
    installation: Installation,
    service: Receiver,
    slug: str,
    point: str,
    status: str,
    hits: int,
) -> None:
    """Between mark and answer: `once` is asked about, `idempotent` is sent again."""
    agent = installation.api("runs,read", "--agent", "support")
    installation.kill("worker")
    installation.start("worker", faults=f"{point}=kill9")
    body = {
        "run": open_run(agent),
        "operation": f"payments.{slug}",
        "arguments": {"charge": "ch_1", "amount": 40} if slug == "refund" else {"charge": "ch_1"},
    }
    call = agent.post("tool-calls", body).ok(201)
    assert installation.has_died("worker") == -9
    installation.start("worker")
    assert agent.get(f"tool-calls/{call['id']}").ok()["status"] == "executing"
    installation.move_clock(61)
    done = installation.settled(agent, call["id"])
    assert done["status"] == status
    assert effects(service, call["id"]) == hits
    if status == "unknown":
        task = installation.api("decide,read").get(f"tasks/{done['task']}").ok()
        names = [action["name"] for action in task["actions"]]
        assert names == ["it_happened", "it_did_not", "send_again"]
        assert agent.get(f"runs/{call['run']}").ok()["status"] == "waiting"


def test_what_waited_while_its_agent_was_frozen_is_sent_once_after_the_thaw(
    installation: Installation, service: Receiver
) -> None:
    """With two sweepers and sweeps from cron; a worker is killed before the thaw, one after it."""
    agent = installation.api("runs,read", "--agent", "support")
    person = installation.api("decide,read")
    calls = [installation.refund(agent, 900).ok(201) for _ in range(3)]
    ids = [call["id"] for call in calls]
    installation.kill("sweeper")
    sweepers = installation.start_several("sweeper", 2)
    installation.contain_as("gus", "freeze", "support", "odd refunds")
    for call in calls:
        person.post(f"tasks/{call['task']}/approve").ok()
    installation.kill("worker")
    installation.start("worker", faults="claim.after=kill9")
    installation.move_clock(300)
    installation.manage("sweep")
    found = [agent.get(f"tool-calls/{pk}?wait=1").ok() for pk in ids]
    assert [(call["status"], call["attempts"]) for call in found] == [("queued", 0)] * 3
    assert [effects(service, pk) for pk in ids] == [0] * 3

    installation.contain_as("gus", "thaw", "support", "it was a test")
    assert installation.has_died("worker") == -9
    installation.start("worker")
    installation.move_clock(61)
    done = [installation.settled(agent, pk) for pk in ids]
    assert [call["status"] for call in done] == ["succeeded"] * 3
    installation.manage("sweep")
    assert [effects(service, pk) for pk in ids] == [1] * 3
    installation.kill(*sweepers)
    installation.start("sweeper")
