"""Lists at 390 pixels: a row is a card, a value says what it is, nothing scrolls sideways."""

import pytest

from tests.backoffice.conftest import Visit
from tests.backoffice.test_approvals import refund
from tests.backoffice.test_settings_accessible import fill
from tests.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
# path: what the first row says of itself, label by label
LISTS = {
    "dashboard/": ["Agent", "Waiting", "Opened"],
    "sessions/": ["Agent", "Participant", "Status", "Waiting", "Opened"],
    "agents/": ["Description", "May ask people", "State"],
    "integrations/": ["Address", "Credential", "Approval by default", "Operations", "State"],
    "operations/": ["Call", "Effect", "Approval before execution", "State"],
    "integrations/payments/": ["Call", "Effect", "Approval before execution", "State"],
    "members/": ["Roles", "Groups", "Only agents", "Last sign-in", "State"],
    "groups/": ["Members"],
    "keys/": ["Scopes", "Agent", "Owner", "Last used", "Expires"],
    "webhooks/": ["Address", "Told when", "State"],
    "webhooks/crm/": ["When", "State", "Attempts", "Last answer", "Next attempt"],
    "audit/": ["When", "Who", "Did what", "To", "Facts"],
}
SIDEWAYS = """() => [
  document.documentElement, ...document.querySelectorAll(".table-box:has(> .stacks)")
].map((box) => box.scrollWidth - box.clientWidth)"""
LABELS = """() => [...document.querySelector(".stacks tbody tr").querySelectorAll("td")]
  .filter((cell) => cell.dataset.label
    && getComputedStyle(cell, "::before").content === JSON.stringify(cell.dataset.label))
  .map((cell) => cell.dataset.label)"""


def test_no_list_scrolls_sideways_on_a_phone(shared_world: World, visit: Visit) -> None:
    fill(shared_world)
    page = visit("admin", "agents/", phone=True)
    said = {}
    for path in LISTS:
        page.goto(f"/admin/{path}")
        page.locator(".stacks tbody tr").first.wait_for()
        assert max(page.evaluate(SIDEWAYS)) <= 0, path
        said[path] = page.evaluate(LABELS)
    assert said == LISTS


@pytest.mark.parametrize("tab", ["pending", "completed"])
def test_more_filters_open_inside_of_a_phones_page(
    shared_world: World, visit: Visit, tab: str
) -> None:
    page = visit("ann", f"review/approvals/?tab={tab}", phone=True)
    page.get_by_text("More filters").click()
    box = page.locator(".more-filters-body").bounding_box()
    button = page.get_by_text("More filters").bounding_box()
    assert box
    assert button
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert box["y"] >= button["y"] + button["height"]
    assert max(page.evaluate(SIDEWAYS)) <= 0


def test_on_a_wide_screen_they_are_tables(shared_world: World, visit: Visit) -> None:
    page = visit("admin", "agents/")
    assert page.locator("th", has_text="State").is_visible()
    assert page.evaluate(LABELS) == []


def test_what_differs_between_tasks_decided_together_is_read_on_a_phone(
    shared_world: World, visit: Visit
) -> None:
    for amount in (301, 302):
        refund(shared_world, amount)
    page = visit("ann", "review/approvals/", phone=True)
    for box in page.get_by_label("Select", exact=True).all():
        box.check()
    page.get_by_role("button", name="Look at them together").click()
    page.locator(".stacks tbody tr").first.wait_for()
    assert max(page.evaluate(SIDEWAYS)) <= 0
    assert page.evaluate(LABELS) == ["Session", "amount", "Asked"]
