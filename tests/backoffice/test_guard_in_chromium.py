"""The guard's whole loop in a real browser: paused, triaged, frozen, thawed, and sent once."""

from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from accounts_app.models import Agent, AuditEntry
from guard_app.models import Incident
from integrations_app.models import Attempt, ToolCall
from integrations_app.services.execution import execute
from tasks_app.models import Decision, UserTask
from tasks_app.services.sweeping import sweep
from tests.backoffice.conftest import Visit
from tests.conftest import World
from tests.guard_app.test_verdicts import refund, status, suspicious

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
QUEUE = "review/approvals/"
# The names beside the bars of a plot, and how much room there is for each.
NAMES = """(canvas) => {
  const { y } = Chart.getChart(canvas).scales;
  return y.ticks.map(({ label }) => ({ text: label, height: y.height / y.ticks.length }));
}"""
GUARD_LINKS = "a[href^='/admin/guard/']"


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def badge(page: Page, name: str) -> Any:
    return page.locator(".badge").get_by_text(name, exact=True)


def acts_of(username: str) -> list[tuple[str, str]]:
    """What the audit log holds of somebody, and on what kind of thing."""
    entries = AuditEntry.objects.filter(actor_name=username).order_by("sequence")
    return list(entries.values_list("verb", "target_type"))


def pause_two(world: World) -> tuple[Any, Any]:
    """An admin's rule pauses two refunds of one burst."""
    suspicious(world, "review")
    run = world.run()
    calls = refund(world, 50, run), refund(world, 51, run)
    assert [call["status"] for call in calls] == ["awaiting_review"] * 2
    assert Incident.objects.get().count == 2
    return calls


def test_an_operator_sees_nothing_of_the_guard(shared_world: World, visit: Visit) -> None:
    pause_two(shared_world)
    theirs, analysts = visit("ann", QUEUE), visit("gus", QUEUE)
    expect(theirs.get_by_text("Nothing waits for you.")).to_be_visible()
    expect(theirs.locator("article.card")).to_have_count(0)
    expect(theirs.locator(GUARD_LINKS)).to_have_count(0)
    # The same places, where there is something to see.
    expect(analysts.locator("article.card")).to_have_count(2)
    expect(analysts.locator(GUARD_LINKS).first).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_people_decided_is_legible_with_many_rules(
    shared_world: World, visit: Visit, theme: str
) -> None:
    for number in range(7):
        name = f"Rule {number} against refunds of charges that look odd to us"
        suspicious(shared_world, "alert", f"rule-{number}", name=name)
    refund(shared_world)
    page = visit("gus", "dashboard/", theme=theme)
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto("/admin/guard/")
    plot = page.locator("[data-table=table-precision]")
    expect(plot).to_be_visible()
    names = sorted(plot.evaluate(NAMES), key=lambda name: str(name["text"]))
    width = plot.evaluate("(canvas) => canvas.clientWidth")
    assert all(len(name["text"]) * 6 < width / 2 for name in names)
    assert [name["text"][:14] for name in names] == [f"Rule {n} against" for n in range(7)]
    assert min(name["height"] for name in names) >= 14


def test_an_incident_lives_by_mouse(shared_world: World, visit: Visit) -> None:
    world = shared_world
    approved, other = pause_two(world)
    pk, task = UUID(approved["id"]), UserTask.objects.get(pk=approved["task"])
    incident = Incident.objects.get()
    page = visit("gus", QUEUE)

    card = page.locator(f"#task-{task.pk}")
    expect(card).to_contain_text("condition")
    card.get_by_role("button", name="Approve").click()
    expect(card.locator(".outcome")).to_contain_text("gus@example.com")
    decision = Decision.objects.get()
    assert (decision.task_id, decision.action) == (task.pk, "approve")
    assert (status(world, approved), status(world, other)) == ("queued", "awaiting_review")

    card.get_by_role("link", name="its incident").click()
    expect(page.get_by_role("heading", name="What was hit")).to_be_visible()
    assert page.url.endswith(f"/admin/guard/incidents/{incident.pk}/")
    button(page, "Acknowledge").click()
    expect(badge(page, "Acknowledged")).to_be_visible()
    expect(button(page, "Acknowledge")).to_have_count(0)
    assert Incident.objects.get().status == "acknowledged"

    page.get_by_role("link", name="Freeze the agent…").click()
    expect(page.get_by_text("1 approved or queued call will stay waiting")).to_be_visible()
    expect(page.get_by_text("1 call that waits for a person can still be decided")).to_be_visible()
    page.get_by_role("link", name="Back, and do nothing").click()
    expect(page.get_by_role("heading", name="What was hit")).to_be_visible()
    assert Agent.objects.get(slug="support").frozen_at is None
    page.get_by_role("link", name="Require approval…").click()
    expect(page.get_by_text("1 queued call without an approval will wait")).to_be_visible()
    page.get_by_label("Every call needs approval until (UTC)").fill("2020-01-01T12:00")
    page.get_by_label("Reason", exact=True).fill("watch it")
    button(page, "Set").click()
    expect(page.get_by_text("Must lie in the future.")).to_be_visible()
    expect(page.get_by_label("Reason", exact=True)).to_have_value("watch it")
    page.get_by_role("link", name="Back, and do nothing").click()
    assert Agent.objects.get(slug="support").approval_required_until is None

    page.get_by_role("link", name="Freeze the agent…").click()
    page.get_by_label("Reason", exact=True).fill("odd refunds")
    button(page, "Freeze the agent").click()
    expect(page.get_by_text("is frozen: nothing of it starts or is sent.")).to_be_visible()
    expect(badge(page, "Agent frozen")).to_be_visible()
    assert Agent.objects.get(slug="support").frozen_reason == "odd refunds"
    world.refund(1, approved["run"]).refused(409, "agent_frozen")
    assert execute(pk).status == ""
    sweep(execute_here=True)
    assert (ToolCall.objects.count(), Attempt.objects.count()) == (2, 0)
    assert (status(world, approved), world.receiver.hits) == ("queued", [])

    page.get_by_label("Why it is closed").fill("the customer was real")
    button(page, "Resolve").click()
    expect(badge(page, "Resolved")).to_be_visible()
    expect(button(page, "Resolve")).to_have_count(0)
    expect(page.get_by_text("the customer was real")).to_be_visible()
    incident.refresh_from_db()
    assert (incident.status, incident.closed_by["name"]) == ("resolved", "gus")
    # Closing the case thaws nobody.
    assert execute(pk).status == ""

    page.goto("/admin/agents/support/")
    expect(page.get_by_text("Frozen by an analyst")).to_be_visible()
    page.get_by_role("link", name="Thaw Support…").click()
    page.get_by_label("Reason", exact=True).fill("it was a test")
    button(page, "Thaw the agent").click()
    expect(page.get_by_text("Support is thawed; what waited goes on.")).to_be_visible()
    expect(page.get_by_text("Frozen by an analyst")).to_have_count(0)
    assert Agent.objects.get(slug="support").frozen_at is None

    assert execute(pk).status == "succeeded"
    assert execute(pk).status == ""
    sweep(execute_here=True)
    assert world.receiver.effects() == {approved["id"]: 1}
    assert (len(world.receiver.hits), Attempt.objects.get().call_id) == (1, pk)
    page.goto(f"/admin/review/calls/{pk}/")
    expect(badge(page, "Succeeded").first).to_be_visible()
    assert status(world, other) == "awaiting_review"
    acts = acts_of("gus")
    for act in (
        ("task.completed", "task"),
        ("incident.acknowledged", "incident"),
        ("agent.frozen", "agent"),
        ("incident.resolved", "incident"),
        ("agent.thawed", "agent"),
    ):
        assert acts.count(act) == 1, acts
