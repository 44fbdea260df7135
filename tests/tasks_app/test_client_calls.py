"""Operations that the agent runs itself after they are allowed."""

import pytest

from tests.api_client import Answer
from tests.conftest import World


@pytest.fixture
def shell(world: World) -> World:
    world.admin.put("integrations/shell", {"name": "Shell", "kind": "client"}).ok(201)
    body = {"name": "Run", "effect": "once", "requires_approval": True}
    world.admin.put("integrations/shell/operations/run", body).ok(201)
    return world


def ask(world: World) -> Answer:
    body = {"run": world.run(), "operation": "shell.run", "arguments": {"command": "ls"}}
    return world.agent.post("tool-calls", body).ok(201)


def test_an_error_may_be_given_as_calls_show_it(shell: World) -> None:
    call = ask(shell)
    path = f"tool-calls/{call['id']}/result"
    shell.decider.post(f"tasks/{call['task']}/approve").ok()
    whole = {"code": "no_space", "detail": "The disk is full."}
    for bad, code, field in (
        ({"code": "no_space"}, "required", "error.detail"),
        ({**whole, "code": ""}, "invalid_value", "error.code"),
        ({**whole, "at": 1}, "unknown_field", "error.at"),
        ({**whole, "detail": "x" * 10_001}, "too_long", "error.detail"),
        ("x" * 10_001, "too_long", "error"),
        ("", "invalid_value", "error"),
        ([whole], "invalid_value", "error"),
    ):
        shell.agent.post(path, {"error": bad}).refused(422, code, field)
    done = shell.agent.post(path, {"error": whole}).ok()
    assert (done["status"], done["error"], done["result"]) == ("failed", whole, None)


@pytest.mark.parametrize(
    ("result", "status"), [({"output": {"files": 3}}, "succeeded"), ({"error": "no"}, "failed")]
)
def test_the_agent_runs_it_when_allowed(shell: World, result: object, status: str) -> None:
    call = ask(shell)
    path = f"tool-calls/{call['id']}/result"
    shell.agent.post(path, result).refused(409, "not_executing")
    shell.decider.post(f"tasks/{call['task']}/approve").ok()
    assert shell.agent.get(f"tool-calls/{call['id']}")["status"] == "executing"
    for bad in ({}, {"output": 1, "error": "x"}, {"error": None}, {"error": 5}):
        assert shell.agent.post(path, bad).status == 422
    done = shell.agent.post(path, result).ok()
    assert done["status"] == status
    if status == "succeeded":
        assert done["result"]["body"] == {"files": 3}
    else:
        assert done["error"] == {"code": "client_error", "detail": "no"}
    shell.agent.post(path, result).refused(409, "already_finished")
    assert shell.agent.get(f"runs/{call['run']}")["status"] == "running"


def test_a_rejected_one_takes_no_result(shell: World) -> None:
    call = ask(shell)
    shell.decider.post(f"tasks/{call['task']}/reject").ok()
    shell.agent.post(f"tool-calls/{call['id']}/result", {"output": 1}).refused(
        409, "already_finished"
    )


def test_a_call_that_assent_executes_takes_no_result(world: World) -> None:
    call = world.refund(900).ok(201)
    world.agent.post(f"tool-calls/{call['id']}/result", {"output": 1}).refused(409, "not_executing")


def test_what_is_under_way_cannot_be_cancelled(shell: World) -> None:
    call = ask(shell)
    shell.decider.post(f"tasks/{call['task']}/approve").ok()
    shell.agent.post(f"tool-calls/{call['id']}/cancel").refused(409, "already_executing")
