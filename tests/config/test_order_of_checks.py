"""The order of checks: whoever comes late learns that first, whatever else is wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts_app.models import Agent
from tests.api_client import Api
from tests.conftest import World

ABSENT = "01900000-0000-7000-8000-000000000000"
BAD: dict[str, list[Any]] = {
    "complete": [{"x": 1}],
    "fail": [{}, {"error": ""}, {"x": 1}],
    "terminate": [{"reason": 5}, []],
}


def client_call(world: World) -> str:
    """A call that the agent will run itself, waiting for approval."""
    world.admin.put("integrations/own", {"name": "Own", "kind": "client"}).ok(201)
    operation = {"name": "Do", "effect": "once", "requires_approval": True}
    world.admin.put("integrations/own/operations/do", operation).ok(201)
    body = {"run": world.run(), "operation": "own.do", "arguments": {}}
    return str(world.agent.post("tool-calls", body).ok(201)["id"])


@pytest.mark.parametrize("verb", sorted(BAD))
def test_a_run_that_has_ended(world: World, verb: str) -> None:
    run = world.run()
    for body in BAD[verb]:
        assert world.agent.post(f"runs/{run}/{verb}", body).status == 422
    assert world.agent.get(f"runs/{run}")["status"] == "running"
    world.agent.post(f"runs/{run}/complete").ok()
    for body in BAD[verb]:
        world.agent.post(f"runs/{run}/{verb}", body).refused(409, "run_ended")


@pytest.mark.parametrize(("verb", "body"), [("end", {"x": 1}), ("terminate", {"reason": 5})])
def test_a_session_that_has_ended(world: World, verb: str, body: Any) -> None:
    session = world.agent.post("sessions", {"agent": "support"}).ok(201)["id"]
    assert world.agent.post(f"sessions/{session}/{verb}", body).status == 422
    world.agent.post(f"sessions/{session}/end").ok()
    world.agent.post(f"sessions/{session}/{verb}", body).refused(409, "session_ended")


def test_a_call_that_is_finished(world: World) -> None:
    call = client_call(world)
    task = world.agent.get(f"tool-calls/{call}")["task"]
    result, cancel = f"tool-calls/{call}/result", f"tool-calls/{call}/cancel"
    wrong: list[Any] = [{"x": 1}, {}, {"error": 5}, {"error": None}]
    for body in wrong:
        world.agent.post(result, body).refused(409, "not_executing")
    assert world.agent.post(cancel, {"reason": 5}).status == 422
    world.decider.post(f"tasks/{task}/approve").ok()
    for body in wrong:
        assert world.agent.post(result, body).status == 422
    world.agent.post(result, {"output": 1}).ok()
    for body in wrong:
        world.agent.post(result, body).refused(409, "already_finished")
    world.agent.post(cancel, {"reason": 5}).refused(409, "already_finished")


def test_a_task_whose_deadline_has_passed_is_not_withdrawn(
    world: World, move_clock: Callable[[float], None]
) -> None:
    body = {"agent": "support", "title": "Ship?", "timeout_seconds": 60}
    task = world.agent.post("tasks", body).ok(201)
    other = world.agent.post("tasks", body).ok(201)
    move_clock(61)
    for sent in ({"reason": "no"}, {"reason": 5}):
        late = world.agent.post(f"tasks/{task['id']}/cancel", sent).refused(409, "deadline_passed")
        assert late["task"]["status"] == "pending"
    world.agent.post(f"runs/{other['run']}/complete").ok()
    shown = world.agent.get(f"tasks/{other['id']}").ok()
    assert shown["outcome"]["cancelled_reason"] == "run_ended"


UNKEEPABLE = [
    b'{"action": "a\\u0000"}',
    b'{"action": "approve", "revision": 9223372036854775808}',
    b'{"action": "approve", "metadata": {"n": 1e999}}',
    b'{"action": "approve", "metadata": {"n": 1' + b"0" * 500 + b"}}",
]


@pytest.mark.parametrize("body", UNKEEPABLE)
def test_what_cannot_be_kept_is_refused_after_all_else(world: World, body: bytes) -> None:
    made = world.agent.post("tasks", {"agent": "support", "title": "Ship?"}).ok(201)
    path = f"tasks/{made['id']}"
    world.decider.post(f"tasks/{ABSENT}/complete", body).refused(404, "not_found")
    world.agent.post(f"{path}/complete", body).refused(403, "insufficient_scope")
    world.decider.post(f"{path}/complete", body).refused(422, "invalid_value")
    world.agent.post("tasks", body).refused(422, "invalid_value")
    world.decider.post(f"{path}/complete", {"action": "approve"}).ok()
    world.decider.post(f"{path}/complete", body).refused(409, "already_completed")
    world.agent.patch(f"{path}/metadata", body).refused(409, "already_completed")
    other = world.agent.post("tasks", {"agent": "support", "title": "Ship?"}).ok(201)
    world.agent.patch(f"tasks/{other['id']}/metadata", body).refused(422, "invalid_value")
    world.agent.post(f"runs/{world.run()}/complete", body).refused(422, "invalid_value")
    world.decider.post("tasks/bulk-complete", body).refused(422, "invalid_value")


def test_what_is_not_permitted_comes_before_a_bad_body(world: World) -> None:
    bound = Api(world.cast.key("runs", name="bound", agent=world.cast.research))
    run = world.run()
    Agent.objects.filter(slug="research").update(tasks_enabled=False)
    kinds = ("anomaly_review", "anomaly_alert")
    for wrong in ({"title": 5}, {"title": "a\0"}, {"title": "T", "colour": 1}, {}):
        for kind in kinds:
            world.agent.post("tasks", {"agent": "support", "kind": kind, **wrong}).refused(
                403, "kind_not_creatable"
            )
        bound.post("tasks", {"agent": "support", **wrong}).refused(403, "wrong_agent")
        world.agent.post("tasks", {"agent": "research", **wrong}).refused(403, "tasks_not_enabled")
        for known in ({"agent": "support"}, {"run": run}, {"agent": "nobody"}, {"run": ABSENT}):
            assert world.agent.post("tasks", {**known, **wrong}).status == 422
    Agent.objects.filter(slug="support").update(tasks_enabled=False)
    for bad in ({"title": 5}, {"title": "T", "kind": 5}):
        world.agent.post("tasks", {"run": run, **bad}).refused(403, "tasks_not_enabled")
    for nobody in ({}, {"run": ABSENT}, {"agent": "nobody"}, {"run": run, "agent": "research"}):
        body = {"title": "T", "kind": "anomaly_alert", **nobody}
        world.agent.post("tasks", body).refused(403, "kind_not_creatable")
    for odd in ({"agent": 5}, {"agent": "a\0"}, {"run": 5}, {"kind": 5}, []):
        assert world.agent.post("tasks", odd).status == 422
    world.agent.post("tasks", {"agent": "\ud800", "title": "\0"}).refused(400, "parse_error")
