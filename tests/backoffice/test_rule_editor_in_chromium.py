"""A rule of every detector, made by somebody who only has a mouse and reads what stands there."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from guard_app.models import GuardRule
from guard_app.parameters import WHAT
from guard_app.states import Detector
from tests.backoffice.conftest import Visit
from tests.conftest import World
from tests.guard_app.test_screening import statuses

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
ADD = "/admin/add/guard-rule/"
AMOUNT, CHARGE = "/amount", "/charge"
LOOKUP, REFUND = "payments.charge_lookup", "payments.refund"


def box(page: Page, group: str, name: str) -> Any:
    return page.get_by_role("group", name=group, exact=True).get_by_label(name, exact=True)


# What is clicked or chosen beyond what stands there, and the parameters that come of it.
CHOSEN: dict[Detector, tuple[list[tuple[str, str]], dict[str, Any]]] = {
    Detector.CONDITION: ([], {"when": "has(args.amount) && args.amount > 1000.0"}),
    Detector.CALL_COUNT: (
        [("Counted", "agent")],
        {"scope": "agent", "limit": 20, "window_seconds": 3600},
    ),
    Detector.REPEATED_CALL: ([], {"limit": 5}),
    Detector.BUDGET: (
        [("Argument", AMOUNT), ("Counted", "participant")],
        {"argument": AMOUNT, "limit": 500, "scope": "participant", "window_seconds": 86_400},
    ),
    Detector.RATE_BASELINE: ([("Sensitivity", "high")], {"sensitivity": "high"}),
    Detector.VALUE_RANGE: (
        [("Argument", AMOUNT), ("Sensitivity", "")],
        {"argument": AMOUNT},
    ),
    Detector.NEW_VALUE: ([("Argument", CHARGE)], {"argument": CHARGE}),
    Detector.NEW_OPERATION: ([], {}),
    Detector.OFF_HOURS: (
        [("Time zone", "Asia/Tokyo")],
        {"timezone": "Asia/Tokyo", "hours": "mon-fri 08:00-18:00"},
    ),
    Detector.FAILURE_BURST: (
        [("Calls that", "rejected")],
        {"of": "rejected", "limit": 20, "window_seconds": 600},
    ),
    Detector.SENSITIVE_DATA: (
        [("Kinds", "E-mail addresses")],
        {"types": ["secret", "private_key", "card_number", "email"]},
    ),
    Detector.INJECTION: ([], {}),
    Detector.CHAIN: (
        [("Sources", LOOKUP), ("Sinks", REFUND)],
        {"sources": [LOOKUP], "sinks": [REFUND]},
    ),
}


def choose(page: Page, label: str, value: str) -> None:
    """Choose in a list, take what a field suggests, or tick a box in a group."""
    field = page.locator("#parameters").get_by_label(label, exact=True)
    if field.and_(page.locator("select")).count():
        field.select_option(value)
    elif field.and_(page.locator("input[list]")).count():
        field.fill(value)
    else:
        box(page, label, value).check()


def test_a_rule_of_every_detector_is_made_by_mouse(shared_world: World, visit: Visit) -> None:
    statuses(shared_world, 10, 2000)
    assert set(CHOSEN) == set(Detector)
    page = visit("gus", "guard/rules/")
    for detector, (choices, parameters) in CHOSEN.items():
        page.goto("/admin/guard/rules/")
        page.get_by_role("link", name="Add a rule", exact=True).click()
        page.get_by_role("link", name=detector.label, exact=True).click()
        expect(page.locator("#parameters")).to_contain_text(WHAT[detector])
        for label, value in choices:
            choose(page, label, value)
        expect(page.locator("#rule-check")).to_contain_text("of the last 2 calls")
        box(page, "Agents", "support").check()
        box(page, "Operations", REFUND).check()
        page.get_by_label("Pause for review:").check()
        # Only the name must be typed.
        page.get_by_label("Name", exact=True).fill(f"My {detector.value}")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("is there.")).to_be_visible()
        rule = GuardRule.objects.get(detector=detector)
        assert (rule.parameters, rule.effect) == (parameters, "review"), detector
        assert rule.applies_to == {"agents": ["support"], "operations": [REFUND]}
        assert (rule.enabled, rule.shadow, rule.version) == (True, True, 1)
    assert GuardRule.objects.count() == 13


def test_saving_what_stands_there_changes_nothing(shared_world: World, visit: Visit) -> None:
    for detector, (_, parameters) in CHOSEN.items():
        body = {"name": detector.label, "detector": detector, "parameters": parameters}
        body |= {"applies_to": {}, "effect": "alert", "enabled": True}
        shared_world.admin.put(f"guard/rules/{detector.replace('_', '-')}", body).ok(201)
    page = visit("gus", "guard/rules/")
    for rule in GuardRule.objects.all():
        page.goto(f"/admin/guard/rules/{rule.slug}/")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("The rule is saved")).to_be_visible()
        after = GuardRule.objects.get(pk=rule.pk)
        assert (after.version, after.parameters) == (1, rule.parameters), rule.slug


def test_another_detector_brings_its_own_fields_and_the_check_follows(
    shared_world: World, visit: Visit
) -> None:
    statuses(shared_world, 10, 2000)
    page = visit("gus", "add/guard-rule/?detector=condition")
    check = page.locator("#rule-check")
    expect(check).to_contain_text("Would have hit 1 of the last 2 calls")
    page.get_by_label("Looks for", exact=True).select_option("call_count")
    expect(page.locator("#parameters")).to_contain_text(WHAT[Detector.CALL_COUNT])
    expect(page.get_by_label("When", exact=True)).to_have_count(0)
    expect(check).to_contain_text("Would have hit 0 of the last 2 calls")
    page.get_by_label("Limit", exact=True).fill("0")
    expect(check).to_contain_text("Would have hit 2 of the last 2 calls")
    page.get_by_text("Write the parameters as JSON instead").click()
    page.get_by_label("Parameters (JSON)").fill('{"scope": "mars"}')
    page.get_by_label(re.compile("Take the parameters from this text")).check()
    expect(check).to_contain_text("Choose from run, session, agent.")
    page.get_by_label("Name", exact=True).fill("Odd")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Nothing was saved")).to_be_visible()
    expect(page.get_by_label("Parameters (JSON)")).to_have_value('{"scope": "mars"}')
    assert not GuardRule.objects.exists()
