"""Lists at 390 pixels: a row is a card, a value says what it is, nothing scrolls sideways."""

import pytest

from tests.backoffice.conftest import Visit
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


def test_on_a_wide_screen_they_are_tables(shared_world: World, visit: Visit) -> None:
    page = visit("admin", "agents/")
    assert page.locator("th", has_text="State").is_visible()
    assert page.evaluate(LABELS) == []
