"""What `/readyz`, `/metrics` and the doctor say when something is not well."""

import json
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from integrations_app.models import Integration, ToolCall
from tasks_app.services.sweeping import sweep
from tests.api_client import Api
from tests.conftest import World


def readiness() -> tuple[int, dict[str, dict[str, object]]]:
    answer = Api().get("/readyz")
    return answer.status, answer["checks"]


def figure(name: str) -> float:
    lines = Api().get("/metrics").ok().text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + " "))


def test_a_worker_that_takes_nothing_is_seen(
    world: World, move_clock: Callable[[float], None]
) -> None:
    """It lives, it is connected, and calls wait."""
    world.refund(40).ok(201)
    sweep(execute_here=False)
    assert readiness()[0] == 200
    move_clock(30)
    sweep(execute_here=False)
    assert readiness()[0] == 200
    move_clock(40)
    sweep(execute_here=False)
    status, checks = readiness()
    assert (status, checks["workers"]["ok"]) == (503, False)
    assert figure('assent_check_ok{check="workers"}') == 0
    assert figure("assent_oldest_untaken_call_seconds") >= 60
    sweep(execute_here=True)
    assert readiness()[0] == 200


def test_a_call_on_hold_is_not_taken_for_a_dead_worker(
    world: World, move_clock: Callable[[float], None]
) -> None:
    world.refund(40).ok(201)
    ToolCall.objects.update(held=True)
    move_clock(3600)
    sweep(execute_here=False)
    assert readiness()[0] == 200
    assert figure("assent_calls_held") == 1


def test_unknown_calls_are_told_and_take_nothing_out_of_service(world: World) -> None:
    world.refund(40).ok(201)
    ToolCall.objects.update(status="unknown")
    sweep(execute_here=False)
    answer = Api().get("/readyz").ok()
    assert answer["unknown_calls"] == 1
    assert figure('assent_tool_calls{status="unknown"}') == 1


def test_metrics_name_what_waits(world: World, move_clock: Callable[[float], None]) -> None:
    world.refund(900).ok(201)
    world.agent.post("tasks", {"agent": "support", "title": "T", "timeout_seconds": 30}).ok(201)
    assert figure('assent_tasks_pending{kind="approval"}') == 2
    assert figure('assent_tool_calls{status="awaiting_approval"}') == 1
    move_clock(31)
    assert figure("assent_tasks_overdue") == 1
    assert figure("assent_oldest_overdue_seconds") >= 1


def doctor() -> str:
    try:
        return str(call_command("doctor"))
    except CommandError as error:
        return str(error)


def test_the_doctor_finds_nothing_where_all_is_well(world: World, settings: object) -> None:
    sweep(execute_here=True)
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
    assert doctor() == "Nothing is wrong."


def test_the_doctor_says_what_is_wrong_and_what_to_do(
    world: World, move_clock: Callable[[float], None], settings: object
) -> None:
    found = doctor()
    assert "scheduler (detail No sweep has run yet.)" in found
    world.refund(40).ok(201)
    move_clock(120)
    sweep(execute_here=False)
    found = doctor()
    assert "start or restart the worker" in found
    assert "clock and the database's are 120 s apart" in found
    settings.ASSENT_ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItMTI="]
    assert "'payments' opens with none of ASSENT_ENCRYPTION_KEYS" in doctor()
    settings.ALLOWED_HOSTS = ["assent.example.com"]
    found = doctor()
    assert "without ASSENT_HTTPS=1" in found
    assert "Set ASSENT_URL" in found
    assert Integration.objects.count() == 1


@pytest.mark.parametrize("command", ["sweep", "restored", "prune", "rotate_keys"])
def test_commands_print_json(world: World, command: str, capsys: object) -> None:
    done = json.loads(call_command(command))
    assert isinstance(done, dict)
