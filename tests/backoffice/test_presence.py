"""Who else has a task open: shown to those who see it, for as long as it is so."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts_app.clock import db_now
from tasks_app.models import Presence, UserTask
from tasks_app.selectors import lookers_of
from tests.backoffice.conftest import Visit
from tests.backoffice.people import signed_in
from tests.backoffice.test_approvals import ask, page, refund
from tests.conftest import World

LOOK = "/admin/review/presence/"


def look(username: str, *opened: UserTask, left: str = "") -> None:
    form = {"open": ",".join(str(task.pk) for task in opened), "left": left}
    assert signed_in(username).post(LOOK, form).status_code == 204


def lookers(world: World, username: str, task: UserTask) -> list[str]:
    return lookers_of(world.cast.actor(username), [task.pk], db_now())[task.pk]


def token(username: str, task: UserTask) -> Any:
    answer = signed_in(username).get(f"/admin/review/states/?ids={task.pk}")
    return answer.json()["states"].get(str(task.pk))


def test_a_card_says_who_else_has_it_open(world: World) -> None:
    task, before = refund(world), ""
    before = token("ann", task)
    look("ann", task)
    assert "has it open too" not in page("ann")
    assert token("ann", task) == before
    assert "ann has it open too" in page("abe")
    for username in ("abe", "admin", "aud"):
        look(username, task)
    assert "abe and admin and 1 more have it open too" not in page("ann")
    assert "abe, admin and 1 more have it open too" in page("ann")
    look("abe", left=str(task.pk))
    assert lookers(world, "ann", task) == ["admin", "aud"]
    assert token("ann", task) != before


def test_it_lapses_when_nobody_says_it_again(
    world: World, move_clock: Callable[[float], None]
) -> None:
    task = refund(world)
    look("ann", task)
    move_clock(44)
    assert lookers(world, "abe", task) == ["ann"]
    move_clock(2)
    assert lookers(world, "abe", task) == []
    look("ann")
    assert not Presence.objects.exists()


def test_it_is_written_at_most_every_twenty_seconds(
    world: World, move_clock: Callable[[float], None], django_assert_num_queries: Any
) -> None:
    task = refund(world)
    look("ann", task)
    first = Presence.objects.get().seen_at
    move_clock(19)
    look("ann", task)
    assert Presence.objects.get().seen_at == first
    move_clock(2)
    look("ann", task)
    assert (Presence.objects.get().seen_at - first).total_seconds() >= 20


def test_who_does_not_see_the_task_neither_learns_nor_says_anything(world: World) -> None:
    task = refund(world)
    look("ann", task)
    for username in ("gus", "ida", "cora"):
        look(username, task)
        assert token(username, task) is None
        assert signed_in(username).get(f"/admin/review/tasks/{task.pk}/card/").status_code == 404
    assert list(Presence.objects.values_list("user__username", flat=True)) == ["ann"]


def test_what_is_decided_or_no_id_is_passed_over(world: World) -> None:
    task = refund(world)
    world.decider.post(f"tasks/{task.pk}/reject", {}).ok(200)
    look("ann", task)
    assert signed_in("ann").post(LOOK, {"open": "x,,1", "left": "y"}).status_code == 204
    assert not Presence.objects.exists()


def beside(page: Page, task: UserTask) -> Any:
    return page.locator(f"#task-{task.pk} [data-looking]")


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_three_browsers_show_one_another(shared_world: World, visit: Visit) -> None:
    first, second = refund(shared_world), ask(shared_world)
    ann, abe = visit("ann", "review/approvals/"), visit("abe", "review/approvals/")
    ann.locator(f"#task-{first.pk}").get_by_label("Comment").fill("Half a thou")
    expect(beside(abe, first)).to_have_text("ann has it open too")
    admin = visit("admin", f"review/tasks/{first.pk}/")
    expect(beside(admin, first)).to_have_text("ann has it open too")
    expect(beside(ann, first)).to_have_text("admin has it open too")
    expect(beside(abe, first)).to_have_text("admin and ann have it open too")
    expect(beside(abe, second)).to_have_count(0)
    expect(ann.locator(f"#task-{first.pk}").get_by_label("Comment")).to_have_value("Half a thou")
    admin.close()
    expect(beside(ann, first)).to_have_count(0)
    ann.keyboard.press("Escape")
    ann.keyboard.press("j")
    expect(beside(abe, second)).to_have_text("ann has it open too")
    expect(beside(abe, first)).to_have_count(0)
