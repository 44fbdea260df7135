"""What is folded is opened before it is let through: the server refuses, not the script alone."""

import re
from typing import Any

import pytest

from tasks_app.models import Decision, UserTask
from tests.backoffice.people import signed_in
from tests.backoffice.test_approvals import decide, page, refund
from tests.conftest import World

LONG = {"charge": "a" * 3000 + " the real victim", "amount": 900}
MANY = {"charge": "c", "amount": 900, **{f"extra_{number}": number for number in range(40)}}


def folds(html: str) -> str:
    return " ".join(re.findall(r'data-fold="(\w+)"', html))


@pytest.fixture
def open_world(world: World) -> World:
    world.operation(parameters={"type": "object"}).ok(200)
    return world


@pytest.mark.parametrize("arguments", [LONG, MANY, {**MANY, **LONG}])
def test_an_approval_with_a_folded_part_is_refused_and_the_form_kept(
    open_world: World, arguments: dict[str, Any]
) -> None:
    task = refund(open_world, arguments=arguments)
    names = folds(page("ann"))
    ann = signed_in("ann")
    for opened in ("", "x", *names.split()[1:]):
        answer = decide(ann, task, comment="As typed", opened=opened)
        html = answer.content.decode()
        assert answer.status_code == 428
        assert "Parts of what would be sent were folded" in html
        assert ">As typed</textarea>" in html
        assert re.search(r"data-fold=\"\w+\" open>", html)
    assert not Decision.objects.exists()
    assert decide(ann, task, opened=names).status_code == 200
    assert Decision.objects.get().action == "approve"


def test_a_rejection_needs_no_look_at_all_of_it(open_world: World) -> None:
    task = refund(open_world, arguments=LONG)
    assert decide(signed_in("ann"), task, "reject").status_code == 200


def test_on_its_own_page_only_what_is_folded_there_is_asked_for(open_world: World) -> None:
    task = refund(open_world, arguments=MANY)
    html = signed_in("ann").get(f"/admin/review/tasks/{task.pk}/").content.decode()
    assert folds(html) == ""
    (opened,) = re.findall(r'type="hidden" name="opened" value="(\w*)"', html)
    assert decide(signed_in("ann"), task, opened=opened).status_code == 200


def test_without_the_script_each_fold_has_a_box_to_tick(open_world: World) -> None:
    refund(open_world, arguments={**MANY, **LONG})
    html = page("ann")
    boxes = re.findall(r'type="checkbox" name="opened" value="(\w+)"', html)
    assert sorted(boxes) == sorted(folds(html).split())


def test_a_loser_learns_who_was_faster_and_not_that_something_was_folded(open_world: World) -> None:
    task = refund(open_world, arguments=LONG)
    decide(signed_in("abe"), task, "reject")
    answer = decide(signed_in("ann"), task)
    assert answer.status_code == 409
    assert "abe" in answer.content.decode()


def test_several_together_are_not_approved_with_folded_values(open_world: World) -> None:
    tasks = [refund(open_world, arguments={**MANY, **LONG}), refund(open_world, arguments=MANY)]
    ann = signed_in("ann")
    chosen = {"task": [f"{task.pk}:1" for task in tasks]}
    preview = ann.post("/admin/review/bulk/", chosen).content.decode()
    assert "1 of them has long values that are folded" in preview
    done = ann.post("/admin/review/bulk/", {**chosen, "action": "approve"}).content.decode()
    assert "1 decided, 1 not." in done
    assert "open them on its own card" in done
    statuses = UserTask.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ["pending", "completed"]
    ann.post("/admin/review/bulk/", {"task": chosen["task"][:1], "action": "reject"})
    assert UserTask.objects.get(pk=tasks[0].pk).action == "reject"
