"""After a decision: the page that took it shows what became of the call, until its end."""

from typing import Any

import pytest
from playwright.sync_api import expect

from integrations_app.models import ToolCall
from integrations_app.services.execution import execute
from tasks_app.models import UserTask
from tests.backoffice.conftest import Visit
from tests.backoffice.people import signed_in
from tests.backoffice.test_approvals import decide, refund
from tests.conftest import World


def call_of(task: UserTask) -> ToolCall:
    assert task.tool_call is not None
    return task.tool_call


def states(username: str, task: UserTask) -> Any:
    path = f"/admin/review/states/?ids={task.pk}&calls={task.tool_call_id}"
    return signed_in(username).get(path).json()


def test_a_decided_card_says_where_its_call_stands_and_is_followed_to_its_end(
    world: World,
) -> None:
    task = refund(world)
    html = decide(signed_in("ann"), task).content.decode()
    assert "data-follows" in html
    assert ">Queued</span>" in html
    queued = states("ann", task)
    execute(call_of(task).pk)
    done = states("ann", task)
    assert queued["states"] != done["states"]
    assert (queued["calls"], done["calls"]) == (
        {str(task.tool_call_id): "queued"},
        {str(task.tool_call_id): "succeeded"},
    )
    card = signed_in("ann").get(f"/admin/review/tasks/{task.pk}/card/").content.decode()
    assert "data-follows" not in card
    assert ">Succeeded</span>" in card


def test_who_may_not_know_of_a_call_does_not_learn_its_status(world: World) -> None:
    task = refund(world)
    for username in ("ida", "cora"):
        assert states(username, task) == {"states": {}, "calls": {}}


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_the_calls_page_shows_the_new_state_at_once_and_follows_it(
    shared_world: World, visit: Visit
) -> None:
    task = refund(shared_world)
    page = visit("ann", f"review/calls/{task.tool_call_id}/")
    state = page.locator("section.call .badge").first
    expect(state).to_have_text("Awaiting approval")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".outcome .call-state")).to_contain_text("Queued")
    expect(state).to_have_text("Queued")
    expect(page.locator("#count-pending")).to_have_text("")
    execute(call_of(task).pk)
    expect(page.locator(".outcome .call-state")).to_contain_text("Succeeded")
    expect(state).to_have_text("Succeeded")
    expect(page.get_by_text("Answer of the service")).to_be_visible()


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_run_shows_a_decision_in_its_timeline_without_a_reload(
    shared_world: World, visit: Visit
) -> None:
    task = refund(shared_world)
    page = visit("ann", f"review/runs/{task.run_id}/?task={task.pk}")
    page.get_by_role("button", name="Reject").click()
    expect(page.locator(".timeline .event-decision")).to_be_visible()
