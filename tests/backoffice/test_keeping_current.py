"""What others decide appears by itself: on every card, in a tab that was hidden too."""

import datetime as dt

import pytest
from playwright.sync_api import Page, Route, expect

from tasks_app.models import UserTask
from tests.backoffice.conftest import Visit
from tests.backoffice.test_approvals import ask, refund
from tests.backoffice.test_review_query_counts import many_more
from tests.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
QUEUE = "review/approvals/"
HIDE_AND_SHOW = """
    let seen = 'visible';
    Object.defineProperty(document, 'visibilityState', { get: () => seen });
    window.turn = (state) => {
        seen = state;
        document.dispatchEvent(new Event('visibilitychange'));
    };
"""


def outcome(page: Page, task: UserTask) -> object:
    return page.locator(f"#task-{task.pk} .outcome")


def test_cards_far_down_a_long_list_are_kept_current_too(shared_world: World, visit: Visit) -> None:
    many_more(ask(shared_world), 220)
    page = visit("ann", QUEUE)
    cards = page.locator("article.card")
    for count in range(40, 230, 20):
        page.get_by_role("link", name="Load more").click()
        expect(cards).to_have_count(count)
    last = UserTask.objects.order_by("-created_at", "-pk")[0]
    page.get_by_role("link", name="Load more").click()
    expect(cards).to_have_count(221)
    fetched: set[str] = set()
    page.on(
        "request", lambda request: fetched.add(request.url) if "/card/" in request.url else None
    )
    shared_world.decider.post(f"tasks/{last.pk}/reject", {}).ok(200)
    expect(outcome(page, last)).to_contain_text("Reject")
    assert {url.split("/")[-3] for url in fetched} == {str(last.pk)}


def test_a_card_that_is_slow_to_come_holds_no_other_up(shared_world: World, visit: Visit) -> None:
    first, second = refund(shared_world, 201), refund(shared_world, 202)
    page = visit("ann", QUEUE)
    held: list[Route] = []
    page.route(f"**/{first.pk}/card/", lambda route: held.append(route))
    for task in (first, second):
        shared_world.decider.post(f"tasks/{task.pk}/approve", {}).ok(200)
    expect(outcome(page, second)).to_be_visible()
    expect(outcome(page, first)).to_have_count(0)
    held[0].continue_()
    expect(outcome(page, first)).to_be_visible()


def test_a_tab_that_is_shown_again_is_current_at_once(shared_world: World, visit: Visit) -> None:
    task = refund(shared_world)
    page = visit("ann", "dashboard/")
    page.add_init_script(HIDE_AND_SHOW)
    page.clock.install()
    page.goto(f"/admin/{QUEUE}")
    page.evaluate("turn('hidden')")
    # From here on no timer of the page fires: what happens, happens because it is shown.
    page.clock.pause_at(dt.datetime.now(tz=dt.UTC) + dt.timedelta(hours=1))
    shared_world.decider.post(f"tasks/{task.pk}/reject", {}).ok(200)
    expect(outcome(page, task)).to_have_count(0)
    page.evaluate("turn('visible')")
    expect(outcome(page, task)).to_contain_text("Reject")
