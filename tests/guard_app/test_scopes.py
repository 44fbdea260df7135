"""What a rule is limited to, and what becomes of it when that is switched off, renamed or gone."""

from typing import Any

import pytest

from accounts_app.models import Agent
from guard_app.models import Detection, GuardRule, Replay
from guard_app.services.replays import due_replays, run_replay
from integrations_app.models import Integration, Operation
from tests.api_client import Api
from tests.backoffice.people import signed_in
from tests.conftest import World
from tests.guard_app.test_screening import rule, statuses, sub_run

RULE = "/admin/guard/rules/call_count/"


def session_of(world: World, run: str) -> str:
    return str(world.agent.get(f"runs/{run}")["session"])


def test_a_rule_of_one_session_holds_for_its_sub_agents_and_for_no_other(world: World) -> None:
    run, other = world.run(), world.run()
    child = sub_run(world, run)
    applies = {"sessions": [session_of(world, run)]}
    rule(world, "call_count", parameters={"scope": "run", "limit": 0}, applies_to=applies)
    assert world.admin.get("guard/rules/call_count").ok()["applies_to"] == applies
    assert statuses(world, 1, run=run) == ["blocked"]
    assert statuses(world, 1, run=child) == ["blocked"]
    assert statuses(world, 1, 2, run=other) == ["queued", "queued"]
    body = {"rule": "call_count", "from": "2026-01-01", "to": "2026-12-31"}
    made = world.admin.post("guard/replays", body).ok(202)
    assert run_replay(due_replays(1)[0])
    done = world.agent.get(f"guard/replays/{made['id']}").ok()
    assert (done["calls"], done["hits"]) == (4, 2)


@pytest.mark.parametrize(
    "given", ["foreign", "01a2133e-f3cb-7299-9f59-264d95d4f2e5", "nonsense", "", "\x00"]
)
def test_a_session_that_is_not_there_is_refused(world: World, given: str) -> None:
    if given == "foreign":
        elsewhere = Api(world.cast.key("admin,read", name="c", workspace=world.cast.other))
        elsewhere.put("agents/theirs", {"name": "T", "tasks_enabled": True}).ok(201)
        theirs = Api(world.cast.key("runs,read", name="r", workspace=world.cast.other))
        given = theirs.post("sessions", {"agent": "theirs"}).ok(201)["id"]
    body = {"name": "x", "detector": "injection", "parameters": {}, "effect": "alert"}
    body |= {"applies_to": {"sessions": [given]}, "enabled": True}
    answer = world.admin.put("guard/rules/x", body)
    assert answer.status == 422
    assert answer["errors"][0]["field"] in ("applies_to.sessions.0", "/applies_to/sessions/0")
    assert not GuardRule.objects.exists()


def narrow(world: World) -> None:
    """A rule of one agent and two operations, that hits every call."""
    applies = {"agents": ["support"], "operations": ["payments.refund", "payments.send_receipt"]}
    parameters = {"scope": "agent", "limit": 0}
    rule(world, "call_count", parameters=parameters, applies_to=applies, effect="alert")


def page(path: str) -> str:
    answer = signed_in("gus").get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def replayed(world: World) -> dict[str, Any]:
    body = {"rule": "call_count", "from": "2026-01-01", "to": "2026-12-31"}
    made = world.admin.post("guard/replays", body).ok(202)
    assert run_replay(due_replays(1)[0])
    done: dict[str, Any] = world.agent.get(f"guard/replays/{made['id']}").ok().json
    return done


def form_of(rule_: GuardRule, *operations: str, agents: tuple[str, ...] = ("support",)) -> Any:
    return {
        "expected_version": rule_.version,
        "name": "Changed",
        "detector": "call_count",
        "p_scope": "agent",
        "p_limit": "0",
        "p_window_seconds_1": "3600",
        "agents": agents,
        "operations": operations,
        "effect": "alert",
        "enabled": "on",
    }


def test_what_is_switched_off_is_said_and_the_rule_goes_on(world: World) -> None:
    narrow(world)
    statuses(world, 1)
    assert "is off" not in page("/admin/guard/rules/")
    world.operation("send_receipt", enabled=False).ok(200)
    agent = {"name": "Support", "tasks_enabled": True, "enabled": False}
    world.admin.put("agents/support", agent).ok(200)
    listed = page("/admin/guard/rules/")
    assert "agent support is off" in listed
    assert "operation payments.send_receipt is off" in listed
    for path in (RULE, f"{RULE}replay/"):
        told = page(path)
        assert "agent support, operation payments.send_receipt</span>. The rule stays" in told
    assert "payments.send_receipt (off)" in page(RULE)
    done = replayed(world)
    assert (done["calls"], done["hits"]) == (1, 1)
    shown = page(f"/admin/guard/replays/{Replay.objects.get().pk}/")
    assert "agent support, operation payments.send_receipt</span>. Its recorded calls" in shown
    form = form_of(GuardRule.objects.get(), "payments.refund", "payments.send_receipt")
    assert signed_in("gus").post(RULE, form).status_code == 302
    world.admin.put("agents/support", {**agent, "enabled": True}).ok(200)
    statuses(world, 2)
    assert Detection.objects.count() == 2
    Integration.objects.update(enabled=False)
    assert "operation payments.refund is off" in page("/admin/guard/rules/")


def test_a_new_name_changes_nothing_for_a_rule(world: World) -> None:
    narrow(world)
    world.operation("refund", name="Pay back").ok(200)
    world.admin.put("agents/support", {"name": "Helper", "tasks_enabled": True}).ok(200)
    statuses(world, 1)
    assert Detection.objects.count() == 1
    assert replayed(world)["hits"] == 1
    listed = page("/admin/guard/rules/")
    assert "is off" not in listed
    assert "is gone" not in listed


def test_what_is_gone_is_said_and_the_rule_goes_on_for_the_others(world: World) -> None:
    narrow(world)
    statuses(world, 1)
    Operation.objects.filter(slug="send_receipt").delete()
    listed, editor = page("/admin/guard/rules/"), page(RULE)
    assert "operation payments.send_receipt is gone" in listed
    assert "No longer there:" in editor
    assert "payments.send_receipt (no longer there)" in editor
    statuses(world, 2)
    assert Detection.objects.count() == 2
    done = replayed(world)
    assert (done["calls"], done["hits"]) == (2, 2)
    gus, before = signed_in("gus"), GuardRule.objects.get()
    kept = gus.post(RULE, form_of(before, "payments.refund", "payments.send_receipt"))
    assert kept.status_code == 422
    assert "There is no operation" in kept.content.decode()
    assert GuardRule.objects.get().version == before.version
    assert gus.post(RULE, form_of(before, "payments.refund")).status_code == 302
    assert GuardRule.objects.get().applies_to["operations"] == ["payments.refund"]


def test_a_rule_of_an_agent_that_is_gone_matches_nobody(world: World) -> None:
    applies = {"agents": ["research"]}
    rule(world, "call_count", parameters={"scope": "run", "limit": 0}, applies_to=applies)
    Agent.objects.filter(slug="research").delete()
    assert statuses(world, 1) == ["queued"]
    assert "agent research is gone" in page("/admin/guard/rules/")
    assert "agent research" in page(RULE)
    assert replayed(world)["hits"] == 0
    form = form_of(GuardRule.objects.get(), agents=("research",))
    assert "There is no agent" in signed_in("gus").post(RULE, form).content.decode()
