"""Every page of the back office's table: no WCAG 2.2 AA violation, light, dark and on a phone."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page

from accounts_app.services.agents import pause_agent
from tasks_app.services.containment import freeze_agent
from tests.backoffice.browser import context_for, cookie_of
from tests.backoffice.every_address import ADDRESSES, PEOPLE
from tests.backoffice.people import signed_in
from tests.backoffice.test_every_address import address, model_pages, rows_of
from tests.backoffice.test_review_accessible import RULES, a_full_workspace
from tests.backoffice.test_settings_accessible import fill
from tests.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
VIEWERS = ("admin", "gus", "ann")
# The first who gets a page looks at it in every appearance, the others in one.
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
LAYOUT = {"runOnly": {"type": "rule", "values": ["target-size", "scrollable-region-focusable"]}}
RUN = """async (options) => (await axe.run(
    document, {...options, resultTypes: ["violations"]})).violations.flatMap((each) =>
    each.nodes.slice(0, 3).map((node) =>
        `${each.id}: ${node.html.slice(0, 160)} ${node.failureSummary.slice(0, 240)}`))"""


def a_rich_workspace(world: World) -> None:
    """Something on every page: tasks of each kind, decided ones, hits, a paused, a frozen agent."""
    world.rule().ok(201)
    world.refund(6000).ok(201)
    a_full_workspace(world)
    fill(world)
    pause_agent(world.cast.actor("ida"), "support", "Its refunds are looked into.")
    freeze_agent(world.cast.actor("gus"), world.cast.research.pk, "It repeats itself.")


def html_pages(world: World) -> Iterator[tuple[str, list[str]]]:
    """Each address that shows a page, with those of the viewers who get it."""
    names = rows_of(world.cast, world.cast.workspace, "abe").names
    client = signed_in("admin")
    for name, (get, post) in ADDRESSES.items():
        rights = {who: (get[PEOPLE.index(who)], post[PEOPLE.index(who)]) for who in VIEWERS}
        # Of those who may do the same there, one looks.
        allowed = [
            who
            for index, who in enumerate(VIEWERS)
            if rights[who][0] == "y" and rights[who] not in [rights[o] for o in VIEWERS[:index]]
        ]
        if not allowed:
            continue
        path = address(name, names)
        seen = client.get(path) if allowed[0] == "admin" else signed_in(allowed[0]).get(path)
        if b"<html" in seen.content:
            yield path, allowed
    for name, _page in model_pages():
        path = address(name.removeprefix("admin:") + "_changelist", {})
        yield path, ["admin"]
        row = client.get(path).context["cl"].result_list[:1]
        if row:
            yield f"{path}{row[0].pk}/change/", ["admin"]


def look(page: Page, path: str, *, everywhere: bool) -> list[str]:
    """What axe finds on a page; in dark what colours change, on a phone what the width does."""
    page.goto(path)
    found = [f"light {text}" for text in page.evaluate(RUN, RULES)]
    if everywhere:
        page.evaluate("document.documentElement.classList.add('dark')")
        page.wait_for_timeout(30)
        found += [f"dark {text}" for text in page.evaluate(RUN, CONTRAST)]
        page.set_viewport_size(PHONE)
        found += [f"phone {text}" for text in page.evaluate(RUN, LAYOUT)]
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            found.append("phone: wider than the screen")
        page.set_viewport_size(DESK)
    return [f"{path} {text}" for text in found]


def test_no_page_of_the_table_violates_the_guidelines(
    shared_world: World, live_server: Any, chrome: Browser
) -> None:
    a_rich_workspace(shared_world)
    pages = list(html_pages(shared_world))
    assert len(pages) > 60
    found = []
    for who in VIEWERS:
        context = context_for(chrome, str(live_server), cookie_of(who), viewport=DESK)
        context.add_init_script(path=AXE_FILE_PATH)
        page = context.new_page()
        for path, viewers in pages:
            if who in viewers:
                found += look(page, path, everywhere=who == viewers[0])
        context.close()
    if found:
        pytest.fail("\n".join(dict.fromkeys(found)))
