"""What is opened and pressed on review pages: no violation; and agents' text runs nowhere."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tasks_app.models import UserTask
from tests.backoffice.conftest import Visit
from tests.backoffice.test_approvals import ask, decide, refund, signed_in
from tests.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    }
}
EVIL = (
    "<img src=x onerror=alert(1)><svg onload=alert(2)></svg><script>alert(3)</script>"
    "<b x-data x-init='alert(4)'>b</b>{{ constructor.constructor('alert(6)')() }}"
    "{% debug %}\"'><a href='javascript:alert(7)' hx-get='/admin/' hx-trigger='load'>c</a>"
)


def a_full_workspace(world: World) -> UserTask:
    """One of everything; returns a pending task about a call."""
    world.operation(sensitive=["/charge"]).ok(200)
    decide(signed_in("abe"), refund(world, 300), "reject", comment="Too much.")
    ask(world, kind="multi_option", options=[{"id": "a", "label": "A", "description": "First"}])
    ask(world, kind="number", input={"minimum": 1}, timeout_seconds=100)
    ask(world, kind="text")
    ask(world, kind="aitl_escalation")
    ask(world, actions=["ship", {"name": "hold", "comment_required": True}, "cancel"])
    arguments = {"charge": "x" * 3000, "amount": 900}
    return refund(world, arguments=arguments, reason="Because.")


def pages_of(task: UserTask) -> list[str]:
    return [
        "review/approvals/",
        "review/approvals/?tab=completed",
        "review/approvals/?q=nothing+like+it",
        f"review/tasks/{task.pk}/",
        f"review/runs/{task.run_id}/?task={task.pk}",
        f"review/calls/{task.tool_call_id}/",
        "sessions/",
        f"review/sessions/{task.session_id}/",
        f"review/sessions/{task.session_id}/terminate/",
        "dashboard/",
    ]


def violations(page: Page) -> list[str]:
    found: list[dict[str, Any]] = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{page.url}: {each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_opened_and_pressed_violates_nothing(
    shared_world: World, visit: Visit, theme: str
) -> None:
    task = a_full_workspace(shared_world)
    page = visit("ann", f"review/tasks/{task.pk}/", theme=theme)
    found = violations(page)
    for path in ("?tab=completed", "?q=nothing+like+it", ""):
        page.goto(f"/admin/review/approvals/{path}")
        found += violations(page)
    page.keyboard.press("?")
    found += violations(page)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("c")
    expect(page.get_by_text("You work on this")).to_be_visible()
    page.locator(".acts > summary").first.click()
    expect(page.get_by_text("Say something without deciding").first).to_be_visible()
    found += violations(page)
    assert found == []


def test_editing_and_deciding_together_violate_nothing(shared_world: World, visit: Visit) -> None:
    world = shared_world
    world.operation(approval={"allow_edit": True, "when": "args.amount > 100"}).ok(200)
    task = refund(world, 900)
    refund(world, 901)
    page = visit("ann", f"review/tasks/{task.pk}/edit/", theme="dark")
    found = violations(page)
    page.get_by_label("amount").fill("500")
    page.get_by_role("button", name="Show the difference").first.click()
    expect(page.locator(".diff")).to_be_visible()
    found += violations(page)
    page.goto("/admin/review/approvals/")
    for box in page.locator("[data-select]").all():
        box.check()
    found += violations(page)
    page.get_by_role("button", name="Look at them together").click()
    found += violations(page)
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("2 decided.")).to_be_visible()
    found += violations(page)
    assert found == []


def test_a_masked_card_violates_nothing_either(shared_world: World, visit: Visit) -> None:
    task = a_full_workspace(shared_world)
    found = []
    for username in ("aud", "bob"):
        page = visit(username, "review/approvals/")
        found += violations(page)
        page.goto(f"/admin/review/runs/{task.run_id}/")
        found += violations(page)
    assert found == []


def test_nothing_that_an_agent_writes_is_executed(shared_world: World, visit: Visit) -> None:
    world = shared_world
    run = world.run(title=EVIL[:200], participant=EVIL[:254], metadata={"a": EVIL})
    options = [{"id": EVIL[:100], "label": EVIL[:200], "description": EVIL}]
    ask(world, run=run, title=EVIL[:200], description=EVIL, kind="multi_option", options=options)
    ask(world, run=run, title=EVIL[:200], draft={EVIL: EVIL}, actions=[EVIL[:120]])
    world.operation(parameters={"type": "object"}).ok(200)
    task = refund(world, run=run, arguments={"amount": 900, EVIL: {EVIL: [EVIL]}}, reason=EVIL)
    page = visit("ann", "review/approvals/")
    for path in pages_of(task):
        page.goto(f"/admin/{path}")
        page.wait_for_timeout(100)
        assert page.locator("#content img, #content svg, #content [x-data]").count() == 0, path
        assert page.locator("#content a[href^='javascript']").count() == 0, path
        assert page.locator("#content [hx-trigger=load]").count() == 0, path
