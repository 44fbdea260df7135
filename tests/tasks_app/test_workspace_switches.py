"""What a workspace's admins switch off is refused, and never let through instead."""

from typing import Any

import pytest

from accounts_app.services.workspace_settings import change_settings
from guard_app.models import Detection
from integrations_app.models import ToolCall
from tasks_app.models import UserTask
from tests.conftest import World

ON: dict[str, Any] = {
    "hitl": True,
    "aitl": True,
    "guard": True,
    "require_second_factor": False,
    "default_timeout_seconds": None,
}


def choose(world: World, **changed: Any) -> None:
    change_settings(world.cast.actor("admin"), **{**ON, **changed})


def ask(world: World, **members: Any) -> Any:
    return world.agent.post("tasks", {"run": world.run(), "title": "May I?", **members})


def test_without_hitl_nothing_is_asked_and_nothing_that_needs_approval_runs(world: World) -> None:
    choose(world, hitl=False)
    refused = ask(world)
    assert (refused.status, refused.json["code"]) == (403, "tasks_not_enabled")
    call = world.refund(900)
    assert (call.status, call.json["code"]) == (403, "tasks_not_enabled")
    assert not ToolCall.objects.exists()
    assert not UserTask.objects.exists()
    assert world.refund(50).ok(201)["status"] == "queued"


def test_what_waits_can_still_be_decided_after_hitl_is_switched_off(world: World) -> None:
    task = ask(world).ok(201)
    choose(world, hitl=False)
    done = world.decider.post(f"tasks/{task['id']}/approve", {}).ok(200)
    assert done["status"] == "completed"


def test_without_aitl_only_escalations_are_refused(world: World) -> None:
    choose(world, aitl=False)
    refused = ask(world, kind="aitl_escalation")
    assert (refused.status, refused.json["code"]) == (403, "tasks_not_enabled")
    assert ask(world).status == 201


@pytest.mark.parametrize("guard", [True, False])
def test_without_the_guard_no_rule_is_asked_and_approvals_stay(world: World, guard: bool) -> None:
    rule = {
        "name": "Any",
        "detector": "condition",
        "parameters": {"when": "true"},
        "effect": "block",
        "applies_to": {},
        "enabled": True,
    }
    world.admin.put("guard/rules/any", rule).ok(201)
    choose(world, guard=guard)
    status = world.refund(50).ok(201)["status"]
    assert status == ("blocked" if guard else "queued")
    assert Detection.objects.exists() is guard
    if not guard:
        assert world.refund(900).ok(201)["status"] == "awaiting_approval"


def test_the_default_deadline_holds_where_nobody_said(world: World) -> None:
    choose(world, default_timeout_seconds=3600)
    run = world.run()
    body = {"run": run, "title": "May I?", "key": "once"}
    first = world.agent.post("tasks", body).ok(201)
    row = UserTask.objects.get(pk=first["id"])
    assert row.due_at is not None
    assert (row.due_at - row.created_at).total_seconds() == 3600
    choose(world, default_timeout_seconds=60)
    assert world.agent.post("tasks", body).ok(200)["id"] == first["id"]
    call = UserTask.objects.get(pk=world.refund(900).ok(201)["task"])
    assert call.due_at is not None
    assert (call.due_at - call.created_at).total_seconds() == 60
    own = ask(world, timeout_seconds=5).ok(201)
    assert UserTask.objects.get(pk=own["id"]).timeout_seconds == 5
