"""The main job: an agent's call waits for a person and runs once when they approve."""

from uuid import UUID

import pytest

from accounts_app.models import AuditEntry
from accounts_app.services.audit import verify
from integrations_app.models import Attempt, Clearance, OutboxEvent, ToolCall
from integrations_app.services.execution import execute
from tasks_app.models import Decision, UserTask
from tests.conftest import TOKEN, World


def run_call(call: object) -> str:
    return execute(UUID(str(call))).status


def test_a_small_refund_runs_at_once(world: World) -> None:
    call = world.refund(40).ok(201)
    assert (call["status"], call["task"]) == ("queued", None)
    assert run_call(call["id"]) == "succeeded"
    done = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert done["result"]["status_code"] == 200
    assert done["result"]["body"]["ok"] is True
    assert done["attempts"] == 1
    assert not UserTask.objects.exists()


def test_a_large_refund_waits_and_runs_once_when_approved(world: World) -> None:
    run = world.run()
    call = world.refund(900, run).ok(201)
    assert call["status"] == "awaiting_approval"
    shown = world.agent.get(f"runs/{run}").ok()
    assert shown["status"] == "waiting"
    assert shown["waiting_on"] == {"tasks": [call["task"]], "tool_calls": [call["id"]]}
    task = world.decider.get(f"tasks/{call['task']}").ok()
    assert (task["kind"], task["status"], task["revision"]) == ("approval", "pending", 1)
    assert [action["name"] for action in task["actions"]] == ["approve", "reject"]
    assert run_call(call["id"]) == ""
    assert world.receiver.hits == []

    decided = world.decider.post(f"tasks/{call['task']}/approve", {"comment": "fine"}).ok()
    assert decided["outcome"]["action"] == "approve"
    assert decided["outcome"]["comment"] == "fine"
    assert decided["outcome"]["decided_by"]["type"] == "api_key"
    assert run_call(call["id"]) == "succeeded"
    assert run_call(call["id"]) == ""

    (hit,) = world.receiver.hits
    assert (hit.method, hit.path) == ("POST", "/ok/refunds")
    assert hit.body == b'{"charge":"ch_1","amount":900}'
    headers = {name.lower(): value for name, value in hit.headers}
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["idempotency-key"] == call["id"]
    done = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert done["status"] == "succeeded"
    assert TOKEN not in done.text
    assert world.agent.get(f"runs/{run}")["status"] == "running"


def test_each_act_leaves_one_decision_one_entry_one_event(world: World) -> None:
    call = world.refund(900).ok(201)
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    task = UserTask.objects.get()
    assert Decision.objects.get().digest == ToolCall.objects.get().request_digest
    assert Clearance.objects.get().digest == ToolCall.objects.get().request_digest
    assert AuditEntry.objects.filter(verb="task.completed").count() == 1
    assert OutboxEvent.objects.filter(type="task.completed", subject_id=task.pk).count() == 1
    assert list(verify()) == []


def test_a_rejected_refund_is_never_sent(world: World) -> None:
    call = world.refund(900).ok(201)
    world.decider.post(f"tasks/{call['task']}/reject", {"comment": "too much"}).ok()
    assert run_call(call["id"]) == ""
    done = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert done["status"] == "rejected"
    assert done["error"] == {"code": "rejected", "detail": "too much"}
    assert world.receiver.hits == []
    assert not Clearance.objects.exists()


def test_the_same_key_finds_the_same_call(world: World) -> None:
    run = world.run()
    first = world.refund(900, run, key="order-7").ok(201)
    assert world.refund(900, run, key="order-7").ok(200)["id"] == first["id"]
    world.refund(901, run, key="order-7").refused(409, "idempotency_mismatch")
    world.decider.post(f"tasks/{first['task']}/approve").ok()
    run_call(first["id"])
    again = world.refund(900, run, key="order-7").ok(200)
    assert again["status"] == "succeeded"
    assert ToolCall.objects.count() == 1


def test_a_call_without_a_clearance_is_never_sent(world: World) -> None:
    """The executor checks, not the caller: even a row that was moved by force."""
    call = world.refund(900).ok(201)
    ToolCall.objects.update(status="queued")
    assert run_call(call["id"]) == "awaiting_approval"
    assert world.receiver.hits == []


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("path", "/ok/other"),
        ("method", "PUT"),
        ("effect", "idempotent"),
        ("sensitive", ["/charge"]),
        ("approval", {"when": "args.amount > 50"}),
    ],
)
def test_a_change_while_it_waits_needs_the_new_revision(
    world: World, member: str, value: object
) -> None:
    call = world.refund(900).ok(201)
    assert world.operation(**{member: value}).ok()["version"] == 2
    task = world.decider.get(f"tasks/{call['task']}").ok()
    assert (task["revision"], task["stale"]) == (2, {"changed": [member]})
    approve = f"tasks/{call['task']}/approve"
    world.decider.post(approve).refused(428, "revision_required")
    stale = world.decider.post(approve, {"revision": 1}).refused(409, "stale_revision")
    assert stale["task"]["revision"] == 2
    world.decider.post(approve, {"revision": 2}).ok()
    assert run_call(call["id"]) == "succeeded"
    if member == "path":
        assert [hit.path for hit in world.receiver.hits] == ["/ok/other"]


def test_a_change_after_the_decision_asks_again(world: World) -> None:
    call = world.refund(900).ok(201)
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    world.operation(path="/ok/other").ok()
    assert run_call(call["id"]) == "awaiting_approval"
    assert world.receiver.hits == []
    again = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert again["task"] != call["task"]
    assert world.decider.get(f"tasks/{again['task']}").ok()["stale"] == {"changed": ["operation"]}
    world.decider.post(f"tasks/{again['task']}/approve").ok()
    assert run_call(call["id"]) == "succeeded"
    assert [hit.path for hit in world.receiver.hits] == ["/ok/other"]


def test_disabling_an_operation_drops_what_waits(world: World) -> None:
    run = world.run()
    call = world.refund(900, run).ok(201)
    world.operation(enabled=False).ok()
    task = world.decider.get(f"tasks/{call['task']}").ok()
    assert (task["status"], task["outcome"]["cancelled_reason"]) == (
        "cancelled",
        "operation_changed",
    )
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "cancelled"
    assert world.agent.get(f"runs/{run}")["status"] == "running"
    world.refund(40).refused(409, "operation_disabled")


def test_an_operation_that_needs_no_approval_but_changed_runs_as_it_is_now(world: World) -> None:
    call = world.refund(40).ok(201)
    world.operation(path="/ok/other").ok()
    assert run_call(call["id"]) == "queued"
    assert run_call(call["id"]) == "succeeded"
    assert [hit.path for hit in world.receiver.hits] == ["/ok/other"]
    assert Attempt.objects.count() == 2


def test_a_policy_that_became_stricter_holds_back_what_is_queued(world: World) -> None:
    call = world.refund(40).ok(201)
    world.operation(approval={"when": "args.amount > 10"}).ok()
    assert run_call(call["id"]) == "awaiting_approval"
    assert world.receiver.hits == []
