"""The life of a task in a real browser: by mouse, by keyboard, on a phone, raced for."""

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tasks_app.models import Decision, UserTask
from tests.backoffice.conftest import Visit
from tests.backoffice.test_approvals import ask, refund
from tests.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
QUEUE = "review/approvals/"


def card(page: Page, task: UserTask) -> Any:
    return page.locator(f"#task-{task.pk}")


def test_a_task_lives_by_mouse(shared_world: World, visit: Visit) -> None:
    page = visit("ann", QUEUE)
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    task = refund(shared_world, reason="It never arrived.")
    page.reload()
    here = card(page, task)
    expect(here.locator("[data-trusted]")).to_contain_text("/ok/refunds")
    here.get_by_label("Comment").fill("Looks good to me!")
    here.get_by_role("button", name="Approve").click()
    expect(here.locator(".outcome")).to_contain_text("ann@example.com")
    expect(here.get_by_role("button", name="Approve")).to_have_count(0)
    here.locator(".card-title a").click()
    expect(page.locator(".timeline")).to_contain_text("Looks good to me!")
    expect(page.locator(".highlighted")).to_have_count(1)
    decision = Decision.objects.get()
    assert (decision.action, decision.channel) == ("approve", "backoffice")


def test_a_task_lives_by_keyboard_alone(shared_world: World, visit: Visit) -> None:
    first, second = refund(shared_world, 201), refund(shared_world, 202)
    third = ask(shared_world, kind="number", title="How many?")
    page = visit("ann", QUEUE)
    for key in "jj":
        page.keyboard.press(key)
    expect(card(page, second)).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("a")
    expect(card(page, first)).to_contain_text("to confirm “Approve”")
    page.keyboard.press("Escape")
    expect(card(page, first)).not_to_contain_text("to confirm")
    page.keyboard.press("a")
    page.keyboard.press("a")
    expect(card(page, first).locator(".outcome")).to_be_visible()
    expect(card(page, second)).to_be_focused()
    page.keyboard.press("m")
    page.keyboard.type("No, a jar of jam")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    expect(card(page, second).locator(".outcome")).to_contain_text("Reject")
    expect(card(page, third)).to_be_focused()
    page.keyboard.press("v")
    page.keyboard.type("42")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.keyboard.press("1")
    expect(card(page, third).locator(".outcome")).to_contain_text("Submit")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("[data-filter]")).to_be_focused()
    found = [(task.action, task.value, task.comment) for task in UserTask.objects.order_by("pk")]
    assert found == [
        ("approve", None, None),
        ("reject", None, "No, a jar of jam"),
        ("submit", 42, None),
    ]


def test_a_task_lives_at_phone_width(shared_world: World, visit: Visit) -> None:
    task = refund(shared_world, arguments={"charge": "c" * 200, "amount": 900})
    page = visit("ann", QUEUE, phone=True)
    wide = "() => document.documentElement.scrollWidth > window.innerWidth"
    assert page.evaluate(wide) is False
    card(page, task).get_by_role("button", name="Reject").tap()
    expect(card(page, task).locator(".outcome")).to_contain_text("Reject")
    page.goto(f"/admin/review/runs/{task.run_id}/")
    assert page.evaluate(wide) is False


def test_somebody_elses_decision_appears_by_itself_and_keeps_the_text(
    shared_world: World, visit: Visit
) -> None:
    task = refund(shared_world)
    mine, theirs = visit("ann", QUEUE), visit("abe", QUEUE)
    field = card(mine, task).get_by_label("Comment")
    field.fill("I was about to say no, becau")
    field.focus()
    card(theirs, task).get_by_role("button", name="Approve").click()
    expect(card(theirs, task).locator(".outcome")).to_be_visible()
    expect(card(mine, task).locator(".outcome")).to_contain_text("abe")
    expect(card(mine, task).get_by_role("button")).to_have_count(0)
    expect(card(mine, task).locator(".kept textarea")).to_have_value("I was about to say no, becau")
    assert mine.evaluate("document.activeElement.id") == f"task-{task.pk}"
    assert Decision.objects.count() == 1


def test_of_two_browsers_that_press_at_once_one_wins(shared_world: World, visit: Visit) -> None:
    task = refund(shared_world)
    mine, theirs = visit("ann", QUEUE), visit("abe", QUEUE)
    # Without the polling, so that the race is not settled before it begins.
    mine.route("**/review/states/**", lambda route: route.abort())
    card(mine, task).get_by_label("Comment").fill("Not this one")
    card(theirs, task).get_by_role("button", name="Approve").click()
    expect(card(theirs, task).locator(".outcome")).to_be_visible()
    card(mine, task).get_by_role("button", name="Reject").click()
    expect(card(mine, task).locator("[role=alert]")).to_contain_text("Already 'approve' by abe")
    expect(card(mine, task).locator(".kept textarea")).to_have_value("Not this one")
    expect(card(mine, task).get_by_role("button")).to_have_count(0)
    assert Decision.objects.get().action == "approve"


def test_a_change_under_somebodys_eyes_is_never_swapped_below_a_finger(
    shared_world: World, visit: Visit
) -> None:
    task = refund(shared_world)
    page = visit("ann", QUEUE)
    card(page, task).get_by_label("Comment").fill("As shown")
    shared_world.operation(path="/ok/other").ok(200)
    expect(card(page, task).locator(".held")).to_be_visible()
    expect(card(page, task).get_by_role("button", name="Approve")).to_be_disabled()
    expect(card(page, task).locator("[data-trusted]")).not_to_contain_text("/ok/other")
    card(page, task).get_by_role("button", name="Look at it as it is now").click()
    expect(card(page, task).locator("[data-trusted]")).to_contain_text("/ok/other")
    expect(card(page, task).get_by_label("Comment")).to_have_value("As shown")
    card(page, task).get_by_role("button", name="Approve").click()
    expect(card(page, task).locator(".outcome")).to_be_visible()


def test_a_double_click_sends_one_request_and_closes_both_buttons(
    shared_world: World, visit: Visit
) -> None:
    task = refund(shared_world)
    page = visit("ann", QUEUE)
    held: list[Route] = []
    page.route("**/decide/", lambda route: held.append(route))
    approve = card(page, task).get_by_role("button", name="Approve")
    reject = card(page, task).get_by_role("button", name="Reject")
    approve.dblclick()
    expect(approve).to_be_disabled()
    expect(reject).to_be_disabled()
    reject.click(force=True)
    for key in ("r", "r", "a", "Enter"):
        page.keyboard.press(key)
    assert len(held) == 1
    assert not Decision.objects.exists()
    held[0].continue_()
    expect(card(page, task).locator(".outcome")).to_be_visible()
    assert len(held) == 1
    assert [decision.action for decision in Decision.objects.all()] == ["approve"]


def test_what_is_folded_is_opened_before_it_can_be_approved(
    shared_world: World, visit: Visit
) -> None:
    text = "a" * 3000 + " the real victim"
    task = refund(shared_world, arguments={"charge": text, "amount": 900})
    page = visit("ann", QUEUE)
    card(page, task).get_by_role("button", name="Approve").click()
    expect(card(page, task).locator(".field-error")).to_contain_text("were folded")
    expect(card(page, task).locator("details[data-fold]").first).to_have_attribute("open", "")
    assert not Decision.objects.exists()
    card(page, task).get_by_role("button", name="Approve").click()
    expect(card(page, task).locator(".outcome")).to_be_visible()


def test_shortcuts_rest_inside_of_fields_and_where_they_are_switched_off(
    shared_world: World, visit: Visit
) -> None:
    task = refund(shared_world)
    page = visit("ann", QUEUE)
    field = card(page, task).get_by_label("Comment")
    field.focus()
    page.keyboard.type("aarrjj?")
    expect(field).to_have_value("aarrjj?")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_label("Use these keys in this browser").uncheck()
    page.keyboard.press("Escape")
    card(page, task).focus()
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.wait_for_timeout(300)
    assert not Decision.objects.exists()


def test_the_key_n_claims_what_has_waited_longest_and_opens_it(
    shared_world: World, visit: Visit
) -> None:
    first, second = refund(shared_world, 201), refund(shared_world, 202)
    page = visit("ann", f"{QUEUE}?order=newest")
    for task in (first, second):
        page.keyboard.press("n")
        page.wait_for_url(f"**/review/tasks/{task.pk}/")
        task.refresh_from_db()
        assert task.claimed_by is not None
        assert task.claimed_by.username == "ann"


def test_the_key_u_unfolds_the_card_that_is_chosen_and_no_other(
    shared_world: World, visit: Visit
) -> None:
    long = {"charge": "a" * 3000 + " the real victim", "amount": 900}
    first, second = (refund(shared_world, arguments=long) for _ in range(2))
    page = visit("ann", QUEUE)
    for key in ("u", "j", "j"):
        page.keyboard.press(key)
    expect(card(page, second)).to_be_focused()
    opened = "details[data-fold][open]"
    expect(page.locator(opened)).to_have_count(0)
    page.keyboard.press("u")
    expect(card(page, second).locator("details[data-fold]:not([open])")).to_have_count(0)
    expect(card(page, second).locator(opened)).not_to_have_count(0)
    expect(card(page, first).locator(opened)).to_have_count(0)
    page.keyboard.press("a")
    page.keyboard.press("a")
    expect(card(page, second).locator(".outcome")).to_be_visible()


def test_the_key_e_leads_to_editing_where_that_is_allowed(
    shared_world: World, visit: Visit
) -> None:
    fixed = ask(shared_world, kind="number", title="How many?")
    shared_world.operation(approval={"allow_edit": True, "when": "args.amount > 100"}).ok(200)
    task = refund(shared_world)
    page = visit("ann", QUEUE)
    page.keyboard.press("j")
    expect(card(page, fixed)).to_be_focused()
    page.keyboard.press("e")
    expect(page.get_by_text("This task cannot be edited.")).to_have_count(1)
    page.keyboard.press("j")
    expect(card(page, task)).to_be_focused()
    page.keyboard.press("e")
    page.wait_for_url(f"**/review/tasks/{task.pk}/edit/")


def test_new_tasks_are_offered_at_the_end_of_the_list(shared_world: World, visit: Visit) -> None:
    page = visit("ann", QUEUE)
    task = refund(shared_world)
    page.get_by_role("link", name="New tasks are waiting").click()
    expect(card(page, task)).to_be_visible()
    card(page, task).get_by_label("Comment").fill("Still here")
    second = refund(shared_world, 901)
    page.get_by_role("link", name="New tasks are waiting").click()
    expect(card(page, second)).to_be_visible()
    expect(card(page, task).get_by_label("Comment")).to_have_value("Still here")
    expect(page.get_by_role("link", name="New tasks are waiting")).to_have_count(0)


@pytest.mark.parametrize("sort", ["oldest", "newest", "due"])
def test_new_tasks_are_offered_above_a_list_that_goes_on(
    shared_world: World, visit: Visit, sort: str
) -> None:
    for number in range(22):
        ask(shared_world, title=f"Task {number}", timeout_seconds=9000)
    page = visit("ann", f"{QUEUE}?sort={sort}")
    expect(page.get_by_role("link", name="Load more")).to_be_visible()
    first = page.locator("article.card").first
    top = first.bounding_box()
    new = ask(shared_world, title="Brand new", timeout_seconds=600)
    offer = page.get_by_role("link", name="New tasks are waiting: show them")
    expect(offer).to_be_in_viewport()
    assert first.bounding_box() == top
    offer.click()
    expect(card(page, new)).to_be_visible()
    expect(offer).to_have_count(0)


def test_an_offer_goes_when_the_list_was_loaded_to_its_end(
    shared_world: World, visit: Visit
) -> None:
    for number in range(22):
        ask(shared_world, title=f"Task {number}")
    page = visit("ann", QUEUE)
    new = ask(shared_world, title="Brand new")
    offer = page.get_by_role("link", name="New tasks are waiting")
    expect(offer).to_be_visible()
    page.get_by_role("link", name="Load more").click()
    expect(card(page, new)).to_have_count(1)
    expect(offer).to_have_count(0)


def test_each_of_many_tasks_takes_two_keys(shared_world: World, visit: Visit) -> None:
    for number in range(8):
        refund(shared_world, 200 + number)
    page = visit("ann", QUEUE)
    page.keyboard.press("j")
    for number in range(1, 9):
        page.keyboard.press("a")
        page.keyboard.press("a")
        expect(page.locator("article.card[data-status=completed]")).to_have_count(number)
        if number < 8:
            expect(page.locator("article[data-status=pending]:focus")).to_have_count(1)
    assert Decision.objects.filter(action="approve").count() == 8


def test_the_keys_go_on_where_the_next_part_of_the_list_begins(
    shared_world: World, visit: Visit
) -> None:
    first = ask(shared_world, title="Task 1")
    tasks = [ask(shared_world, title=f"Task {number}") for number in range(2, 23)]
    page = visit("ann", QUEUE)
    for task in (first, *tasks[:18]):
        shared_world.decider.post(f"tasks/{task.pk}/reject", {}).ok(200)
    expect(page.locator("article[data-status=completed]")).to_have_count(19)
    page.keyboard.press("k")
    expect(card(page, tasks[18])).to_be_focused()
    page.keyboard.press("a")
    page.keyboard.press("a")
    expect(card(page, tasks[18]).locator(".outcome")).to_be_visible()
    expect(card(page, tasks[19])).to_be_focused()


def test_a_selection_is_decided_together(shared_world: World, visit: Visit) -> None:
    for amount in (900, 900, 7349):
        refund(shared_world, amount)
    ask(shared_world)
    page = visit("ann", QUEUE)
    expect(page.locator("#bulk")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.get_by_role("button", name="Select all like it").click()
    expect(page.locator("[data-selected]")).to_have_text("3 selected")
    page.get_by_role("button", name="Look at them together").click()
    expect(page.locator("td.odd")).to_contain_text("7349")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("3 decided.")).to_be_visible()
    assert Decision.objects.count() == 3
