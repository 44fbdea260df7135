"""Rules against recorded calls: what counts, where, and what a broken rule does."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from accounts_app.services.unit import unit_of_work
from guard_app.detectors import DETECTORS, DetectorFunctions
from guard_app.models import Detection, GuardRule, Incident
from guard_app.services.screening import screen
from integrations_app.models import ToolCall
from tasks_app.services.sweeping import sweep
from tests.conftest import World


def rule(world: World, detector: str, slug: str = "", **members: Any) -> None:
    parameters = members.pop("parameters", {})
    body = {
        "name": detector,
        "detector": detector,
        "parameters": parameters,
        "applies_to": {},
        "effect": "block",
        "enabled": True,
        **members,
    }
    world.admin.put(f"guard/rules/{slug or detector}", body).ok(201)


def statuses(world: World, *amounts: float, run: str | None = None) -> list[str]:
    run = run or world.run()
    return [world.refund(amount, run).ok(201)["status"] for amount in amounts]


def test_a_count_in_a_run_hits_on_the_third_call(world: World) -> None:
    rule(world, "call_count", parameters={"scope": "run", "limit": 2})
    assert statuses(world, 1, 2, 3, 4) == ["queued", "queued", "blocked", "blocked"]
    assert statuses(world, 1) == ["queued"]


def test_a_count_by_operation_does_not_count_others(world: World) -> None:
    applies = {"operations": ["payments.refund"]}
    rule(world, "call_count", parameters={"scope": "run", "limit": 1}, applies_to=applies)
    run = world.run()
    lookup = {"run": run, "operation": "payments.charge_lookup", "arguments": {"charge": "c"}}
    for _ in range(3):
        assert world.agent.post("tool-calls", lookup).ok(201)["status"] == "queued"
    assert statuses(world, 1, 2, run=run) == ["queued", "blocked"]


def test_a_window_forgets(world: World, move_clock: Callable[[float], None]) -> None:
    parameters = {"scope": "agent", "limit": 2, "window_seconds": 60}
    rule(world, "call_count", parameters=parameters)
    assert statuses(world, 1, 2, 3) == ["queued", "queued", "blocked"]
    move_clock(61)
    assert statuses(world, 1, 2, 3) == ["queued", "queued", "blocked"]


def test_ten_small_refunds_exceed_a_budget(world: World) -> None:
    parameters = {"argument": "/amount", "limit": 500, "scope": "session"}
    rule(world, "budget", parameters=parameters)
    assert statuses(world, *[90] * 7) == [*["queued"] * 5, "blocked", "blocked"]
    # What was blocked was not spent, and what waits may be.
    assert statuses(world, 400, 101, 100) == ["awaiting_approval", "blocked", "queued"]


def test_a_budget_of_a_participant_goes_over_sessions(world: World) -> None:
    parameters = {"argument": "/amount", "limit": 150, "scope": "participant"}
    rule(world, "budget", parameters=parameters)
    first, second = world.run(participant="Eve@x.com"), world.run(participant="eve@X.com")
    assert statuses(world, 90, run=first) == ["queued"]
    assert statuses(world, 90, run=second) == ["blocked"]
    assert statuses(world, 90, run=world.run(participant="sam@x.com")) == ["queued"]


def test_a_rejected_call_gives_its_amount_back(world: World) -> None:
    parameters = {"argument": "/amount", "limit": 1000, "scope": "run"}
    rule(world, "budget", parameters=parameters)
    run = world.run()
    first = world.refund(900, run).ok(201)
    assert statuses(world, 200, run=run) == ["blocked"]
    world.decider.post(f"tasks/{first['task']}/reject", {"comment": "no"}).ok()
    assert statuses(world, 200, run=run) == ["awaiting_approval"]


def sub_run(world: World, run: str) -> str:
    session = world.agent.get(f"runs/{run}")["session"]
    body = {"session": session, "parent_run": run, "agent": "research"}
    return str(world.agent.post("runs", body).ok(201)["id"])


def test_a_sub_agent_is_counted_with_its_parent_and_under_its_rules(world: World) -> None:
    applies = {"agents": ["support"]}
    rule(world, "call_count", parameters={"scope": "run", "limit": 2}, applies_to=applies)
    parent = world.run()
    child = sub_run(world, parent)
    grandchild = sub_run(world, child)
    assert statuses(world, 1, run=parent) == ["queued"]
    assert statuses(world, 2, run=child) == ["queued"]
    assert statuses(world, 3, run=grandchild) == ["blocked"]
    assert statuses(world, 4, run=parent) == ["blocked"]


def test_a_rule_of_another_agent_does_not_hold(world: World) -> None:
    applies = {"agents": ["research"]}
    rule(world, "call_count", parameters={"scope": "run", "limit": 0}, applies_to=applies)
    assert statuses(world, 1, 2) == ["queued", "queued"]


def test_a_new_value_stays_new_until_a_call_with_it_was_let_through(world: World) -> None:
    rule(world, "new_value", parameters={"argument": "/charge"})
    run = world.run()

    def refund(charge: str) -> str:
        arguments = {"charge": charge, "amount": 1}
        return str(world.refund(1, run, arguments=arguments).ok(201)["status"])

    assert [refund(name) for name in ("ch_1", "ch_1", "ch_2", "ch_2", "ch_1")] == [
        "queued",
        "queued",
        "blocked",
        "blocked",
        "queued",
    ]


def test_an_operation_can_be_new_to_an_agent(world: World) -> None:
    rule(world, "new_operation")
    run = world.run()
    assert statuses(world, 1, 2, run=run) == ["queued", "queued"]
    lookup = {"run": run, "operation": "payments.charge_lookup", "arguments": {"charge": "c"}}
    assert world.agent.post("tool-calls", lookup).ok(201)["status"] == "blocked"


def test_a_burst_of_failures_is_counted_when_they_ended(
    world: World, move_clock: Callable[[float], None]
) -> None:
    parameters = {"of": "failed", "limit": 1, "window_seconds": 600}
    rule(world, "failure_burst", parameters=parameters)
    world.operation("refund", path="/status/500").ok(200)
    for amount in (1, 2):
        assert statuses(world, amount) == ["queued"]
        sweep(execute_here=True)
    assert ToolCall.objects.filter(status="failed").count() == 2
    assert statuses(world, 3) == ["blocked"]
    move_clock(601)
    assert statuses(world, 4) == ["queued"]


def test_a_chain_goes_from_a_source_to_a_sink_even_by_a_sub_agent(world: World) -> None:
    parameters = {"sources": ["payments.charge_lookup"], "sinks": ["payments.refund"]}
    rule(world, "chain", parameters=parameters)
    parent = world.run()
    child = sub_run(world, parent)
    assert statuses(world, 1, run=parent) == ["queued"]
    lookup = {"run": child, "operation": "payments.charge_lookup", "arguments": {"charge": "c"}}
    world.agent.post("tool-calls", lookup).ok(201)
    assert statuses(world, 2, run=parent) == ["blocked"]
    assert statuses(world, 3) == ["queued"]


def test_the_strictest_wins_and_every_hit_is_recorded(world: World) -> None:
    for effect in ("allow", "alert", "block"):
        parameters = {"when": "args.amount == 7"}
        rule(world, "condition", effect, parameters=parameters, effect=effect)
    assert statuses(world, 7, 8) == ["blocked", "queued"]
    found = Detection.objects.order_by("rule__slug")
    assert [(row.effect, row.decided) for row in found] == [
        ("alert", False),
        ("allow", False),
        ("block", True),
    ]


def test_a_disabled_rule_and_an_empty_one_match_nothing(world: World) -> None:
    rule(world, "condition", "off", parameters={"when": "true"}, enabled=False)
    rule(world, "condition", "empty", parameters={"when": ""})
    assert statuses(world, 1) == ["queued"]
    assert not Detection.objects.exists()


def test_a_shadow_rule_records_and_does_nothing(world: World) -> None:
    rule(world, "condition", parameters={"when": "true"}, shadow=True)
    assert statuses(world, 1) == ["queued"]
    row = Detection.objects.get()
    assert (row.effect, row.shadow, row.decided, row.incident) == ("block", True, False, None)
    assert not Incident.objects.exists()


def explode(*_: object) -> None:
    raise RuntimeError("secret value")


@pytest.mark.parametrize("effect", ["allow", "alert", "block"])
def test_a_condition_that_fails_counts_as_review(world: World, effect: str) -> None:
    rule(world, "condition", parameters={"when": "args.missing > 1"}, effect=effect)
    statuses(world, 1)
    row = Detection.objects.get()
    assert (row.effect, row.failed, row.decided) == ("review", True, True)
    assert row.explanation == "The rule could not be evaluated: Missing: args.missing."


@pytest.mark.parametrize("part", ["needs", "judge"])
def test_a_detector_that_breaks_never_lets_a_call_through(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    rule(world, "injection", effect="alert")
    sound = DETECTORS["injection"]
    broken = {"needs": sound.needs, "judge": sound.judge, part: explode}
    monkeypatch.setitem(DETECTORS, "injection", DetectorFunctions(**broken))
    assert statuses(world, 1) != ["queued"]
    row = Detection.objects.get()
    assert (row.effect, row.failed) == ("review", True)
    assert "secret value" not in row.explanation


def test_a_rule_that_is_garbage_in_the_database_never_lets_a_call_through(world: World) -> None:
    rule(world, "call_count", parameters={"scope": "run", "limit": 9})
    for parameters in ({}, {"scope": "mars", "limit": 1}, {"scope": "run", "limit": "x"}, []):
        GuardRule.objects.update(parameters=parameters, version=F("version") + 1)
        assert statuses(world, 1) != ["queued"], parameters


def test_a_detector_that_takes_too_long_counts_as_review(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule(world, "injection", effect="alert")
    monkeypatch.setattr("guard_app.services.screening.RULE_SECONDS", 0.0)
    monkeypatch.setattr("guard_app.services.screening.find_hits.__kwdefaults__", {"seconds": 0.0})
    assert statuses(world, 1) != ["queued"]
    assert "longer than" in Detection.objects.get().explanation


def test_a_changed_rule_holds_for_the_next_call(world: World) -> None:
    for limit, expected in ((1, ["queued", "blocked"]), (2, ["queued", "queued", "blocked"])):
        parameters = {"scope": "run", "limit": limit}
        body = {"name": "Few", "detector": "call_count", "parameters": parameters}
        world.admin.put(
            "guard/rules/few", {**body, "effect": "block", "enabled": True, "applies_to": {}}
        )
        assert statuses(world, *range(1, len(expected) + 1)) == expected
    world.admin.put(
        "guard/rules/few", {**body, "effect": "block", "enabled": False, "applies_to": {}}
    )
    assert statuses(world, 1, 2, 3) == ["queued"] * 3


def test_many_rules_ask_the_database_no_more_often_than_a_few(world: World) -> None:
    """The time, rules, family, facts, and what is kept of the arguments: one statement each."""
    run = world.run()
    kinds: dict[str, dict[str, Any]] = {
        "call_count": {"scope": "session", "limit": 100},
        "repeated_call": {"limit": 100},
        "budget": {"argument": "/amount", "limit": 1000, "scope": "participant"},
        "new_value": {"argument": "/charge"},
        "value_range": {"argument": "/amount"},
        "rate_baseline": {},
        "new_operation": {},
        "failure_burst": {"of": "failed", "limit": 9, "window_seconds": 60},
        "chain": {"sources": ["payments.charge_lookup"], "sinks": ["payments.refund"]},
        "condition": {"when": "counts.agent_last_day > 100"},
    }
    asked = []
    for times in (1, 4):
        for number in range(times):
            for detector, parameters in kinds.items():
                windows = {"window_seconds": 60 + number} if "limit" in parameters else {}
                wanted = (
                    {**parameters, **windows}
                    if detector in ("call_count", "budget")
                    else parameters
                )
                rule(world, detector, f"{detector}-{times}-{number}", parameters=wanted)
        world.refund(1, run).ok(201)  # rules that are new are read once
        named = ToolCall.objects.select_related(
            "run__session", "run__agent", "agent", "operation__integration"
        )
        call = named.get(pk=world.refund(2, run).ok(201)["id"])
        with unit_of_work() as unit, CaptureQueriesContext(connection) as statements:
            screen(unit, call)
        asked.append(len(statements))
    assert asked == [4, 4]
