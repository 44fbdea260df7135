"""`guard/rules` and `guard/detections`: what is accepted, refused, versioned and read."""

from typing import Any

import pytest

from accounts_app.models import AuditEntry
from guard_app.models import Detection, GuardRule
from tests.api_client import Answer, Api
from tests.conftest import World

LOOP: dict[str, Any] = {
    "name": "Loop",
    "detector": "repeated_call",
    "parameters": {"limit": 2},
    "applies_to": {"agents": ["support"], "operations": ["payments.refund"]},
    "effect": "block",
    "enabled": True,
}


def put(world: World, slug: str = "loop", **members: Any) -> Answer:
    return world.admin.put(f"guard/rules/{slug}", {**LOOP, **members})


def test_a_rule_is_put_read_and_versioned(world: World) -> None:
    made = put(world).ok(201)
    assert made.json == {
        **LOOP,
        "slug": "loop",
        "shadow": False,
        "asynchronous": False,
        "version": 1,
        "created_at": made["created_at"],
    }
    assert put(world).ok(200)["version"] == 1
    assert put(world, effect="alert").ok(200)["version"] == 2
    read = world.admin.get("guard/rules/loop").ok()
    assert (read["effect"], read["version"]) == ("alert", 2)
    assert [row["slug"] for row in world.admin.get("guard/rules").ok()["results"]] == ["loop"]
    verbs = AuditEntry.objects.filter(target_type="guard_rule").order_by("sequence")
    assert [entry.verb for entry in verbs] == ["rule.created", "rule.changed"]


EVERY: list[tuple[str, dict[str, Any]]] = [
    ("condition", {"when": "args.amount > 100 && counts.run > 2"}),
    ("condition", {"when": ""}),
    ("call_count", {"scope": "session", "limit": 0, "window_seconds": 60}),
    ("repeated_call", {"limit": 3}),
    ("budget", {"argument": "/amount", "limit": 100.5, "scope": "participant"}),
    ("rate_baseline", {}),
    ("rate_baseline", {"sensitivity": "high"}),
    ("value_range", {"argument": "/amount", "sensitivity": 2.5}),
    ("new_value", {"argument": "/to/0/address"}),
    ("new_operation", {}),
    ("off_hours", {"timezone": "Europe/Berlin", "hours": "08:00-18:00"}),
    ("off_hours", {"timezone": "UTC", "hours": ["mon-fri 08:00-18:00", "sat 9-12"]}),
    ("off_hours", {"timezone": "UTC", "hours": [8, 18]}),
    ("failure_burst", {"of": "failed", "limit": 5, "window_seconds": 60}),
    ("sensitive_data", {}),
    ("sensitive_data", {"types": ["iban", "email"]}),
    ("injection", {}),
    ("chain", {"sources": ["payments.charge_lookup"], "sinks": ["payments.send_receipt"]}),
]


@pytest.mark.parametrize(("detector", "parameters"), EVERY)
def test_every_detector_can_be_put(world: World, detector: str, parameters: dict[str, Any]) -> None:
    made = put(world, detector=detector, parameters=parameters, applies_to={}).ok(201)
    assert (made["detector"], made["parameters"]) == (detector, parameters)


@pytest.mark.parametrize(
    ("members", "field", "code"),
    [
        ({"name": " "}, "name", "invalid_value"),
        ({"name": 5}, "name", "invalid_value"),
        ({"detector": "magic"}, "detector", "invalid_value"),
        ({"effect": "shout"}, "effect", "invalid_value"),
        ({"enabled": "yes"}, "enabled", "invalid_value"),
        ({"severity": "high"}, "severity", "unknown_field"),
        ({"applies_to": []}, "applies_to", "invalid_value"),
        ({"applies_to": {"agent": ["support"]}}, "applies_to.agent", "unknown_field"),
        ({"applies_to": {"agents": "support"}}, "applies_to.agents", "invalid_value"),
        ({"applies_to": {"agents": ["nobody"]}}, "applies_to.agents.0", "not_found"),
        ({"applies_to": {"operations": ["payments.none"]}}, "applies_to.operations.0", "not_found"),
        ({"applies_to": {"operations": ["payments"]}}, "applies_to.operations.0", "not_found"),
        ({"parameters": []}, "parameters", "invalid_value"),
        ({"parameters": {}}, "parameters.limit", "required"),
        ({"parameters": {"limit": None}}, "parameters.limit", "required"),
        ({"parameters": {"limit": "3"}}, "parameters.limit", "invalid_value"),
        ({"parameters": {"limit": True}}, "parameters.limit", "invalid_value"),
        ({"parameters": {"limit": 2.5}}, "parameters.limit", "invalid_value"),
        ({"parameters": {"limit": -1}}, "parameters.limit", "invalid_value"),
        ({"parameters": {"limit": 1, "x": 1}}, "parameters.x", "unknown_field"),
        ({"asynchronous": True}, "asynchronous", "invalid_value"),
    ],
)
def test_a_wrong_rule_is_refused_and_nothing_is_saved(
    world: World, members: dict[str, Any], field: str, code: str
) -> None:
    put(world, **members).refused(422, code, field)
    assert not GuardRule.objects.exists()


@pytest.mark.parametrize(
    ("detector", "parameters", "field"),
    [
        ("condition", {}, "when"),
        ("condition", {"when": "args.amount >"}, "when"),
        ("condition", {"when": "money > 1"}, "when"),
        ("condition", {"when": "args.to.matches('(a')"}, "when"),
        ("condition", {"when": "args.to.matches('(?=a)')"}, "when"),
        ("condition", {"when": 5}, "when"),
        ("call_count", {"scope": "galaxy", "limit": 1}, "scope"),
        ("call_count", {"scope": "participant", "limit": 1}, "scope"),
        ("call_count", {"scope": "run", "limit": 1, "window_seconds": 0}, "window_seconds"),
        ("call_count", {"scope": "run", "limit": 1, "window_seconds": 1e12}, "window_seconds"),
        ("budget", {"argument": "amount", "limit": 1, "scope": "run"}, "argument"),
        ("budget", {"argument": "/a~2", "limit": 1, "scope": "run"}, "argument"),
        ("budget", {"argument": "/a", "limit": "1", "scope": "run"}, "limit"),
        ("rate_baseline", {"sensitivity": 0}, "sensitivity"),
        ("rate_baseline", {"sensitivity": "wild"}, "sensitivity"),
        ("value_range", {"argument": "/a", "sensitivity": True}, "sensitivity"),
        ("new_value", {"argument": ""}, "argument"),
        ("new_operation", {"x": 1}, "x"),
        ("off_hours", {"timezone": "Mars/Olympus", "hours": "8-18"}, "timezone"),
        ("off_hours", {"timezone": "../etc/passwd", "hours": "8-18"}, "timezone"),
        ("off_hours", {"timezone": "UTC", "hours": "whenever"}, "hours"),
        ("off_hours", {"timezone": "UTC", "hours": "08:00-08:00"}, "hours"),
        ("off_hours", {"timezone": "UTC", "hours": "25:00-26:00"}, "hours"),
        ("off_hours", {"timezone": "UTC", "hours": []}, "hours"),
        ("off_hours", {"timezone": "UTC", "hours": [8, 18, 20]}, "hours"),
        ("failure_burst", {"of": "blocked", "limit": 1, "window_seconds": 60}, "of"),
        ("failure_burst", {"of": "failed", "limit": 1}, "window_seconds"),
        ("sensitive_data", {"types": ["dna"]}, "types.0"),
        ("sensitive_data", {"types": []}, "types"),
        ("chain", {"sources": [], "sinks": ["payments.refund"]}, "sources"),
        ("chain", {"sources": ["payments.refund"], "sinks": ["no.where"]}, "sinks.0"),
    ],
)
def test_wrong_parameters_are_refused(
    world: World, detector: str, parameters: dict[str, Any], field: str
) -> None:
    refused = put(world, detector=detector, parameters=parameters, applies_to={})
    assert refused.status == 422, refused
    assert [error["field"] for error in refused["errors"]] == [f"parameters.{field}"]
    assert not GuardRule.objects.exists()


def test_who_may_read_and_write_rules(world: World) -> None:
    put(world).ok(201)
    for key in (world.agent, world.decider):
        key.put("guard/rules/loop", LOOP).refused(403, "insufficient_scope")
        assert key.get("guard/rules/loop").ok()["slug"] == "loop"
    runs = Api(world.cast.key("runs", name="only runs"))
    runs.get("guard/rules/loop").refused(403, "insufficient_scope")
    runs.get("guard/detections").refused(403, "insufficient_scope")
    elsewhere = Api(world.cast.key("read", name="cora", workspace=world.cast.other))
    elsewhere.get("guard/rules/loop").refused(404, "not_found")
    assert elsewhere.get("guard/rules").ok()["results"] == []
    Api().get("guard/rules").refused(401, "not_authenticated")
    put(world, slug="x" * 61).refused(422, "too_long", "slug")


def test_every_hit_is_listed_and_can_be_filtered(world: World) -> None:
    put(world, parameters={"limit": 1}).ok(201)
    put(world, "watch", parameters={"limit": 1}, effect="alert", shadow=True).ok(201)
    run = world.run()
    world.refund(50, run).ok(201)
    assert Detection.objects.count() == 0
    second = world.refund(50, run).ok(201)
    assert second["status"] == "blocked"
    found = world.agent.get("guard/detections").ok()["results"]
    assert {(row["rule"], row["effect"], row["shadow"], row["decided"]) for row in found} == {
        ("loop", "block", False, True),
        ("watch", "alert", True, False),
    }
    row = next(row for row in found if row["rule"] == "loop")
    assert (row["tool_call"], row["agent"]) == (second["id"], "support")
    assert row["operation"] == "payments.refund"
    assert "2 times in this run" in row["explanation"]
    for query, count in (
        ("rule=loop", 1),
        ("effect=alert", 1),
        ("shadow=true", 1),
        ("shadow=false&effect=alert", 0),
        ("rule=none", 0),
    ):
        assert len(world.agent.get(f"guard/detections?{query}").ok()["results"]) == count
    world.agent.get("guard/detections?shadow=maybe").refused(422, "invalid_value")
    world.agent.get("guard/detections?colour=red").refused(422, "unknown_filter")
