"""What a workspace switched off is said on the pages that it concerns."""

import pytest

from tests.backoffice.people import signed_in
from tests.conftest import World
from tests.tasks_app.test_workspace_switches import choose

EDITOR = "/admin/operations/payments/refund/"
QUEUE = "/admin/review/approvals/"
PAGES = ("/admin/guard/", "/admin/guard/rules/")


def test_the_editor_says_that_hitl_is_off(world: World) -> None:
    admin = signed_in("admin")
    assert "HITL is off" not in admin.get(EDITOR).content.decode()
    choose(world, hitl=False)
    for page in (EDITOR, "/admin/add/operation/payments/"):
        assert "a call that requires approval is refused" in admin.get(page).content.decode()


def test_the_queue_says_that_hitl_is_off(world: World) -> None:
    ann = signed_in("ann")
    assert "HITL is off" not in ann.get(QUEUE).content.decode()
    choose(world, hitl=False)
    for page in (QUEUE, f"{QUEUE}?tab=completed"):
        assert "HITL is off in this workspace." in ann.get(page).content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_the_guards_pages_say_that_it_is_off(world: World, path: str) -> None:
    gus = signed_in("gus")
    assert "The guard is off" not in gus.get(path).content.decode()
    choose(world, guard=False)
    assert "The guard is off in this workspace." in gus.get(path).content.decode()


LINK = 'under <a class="link" href="/admin/workspace/">Workspace</a>'


@pytest.mark.parametrize("path", [EDITOR, QUEUE, *PAGES])
def test_whoever_can_switch_it_on_is_led_there(world: World, path: str) -> None:
    choose(world, hitl=False, guard=False)
    assert LINK in signed_in("admin").get(path).content.decode()
    other = "gus" if path in PAGES else "ann"
    html = signed_in(other).get(path).content.decode()
    assert LINK not in html
    assert "A workspace admin switches it on under Workspace." in html
