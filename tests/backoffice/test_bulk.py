"""Deciding several tasks together: a preview, then an answer for each."""

import re
from typing import Any

import pytest

from tasks_app.admin import bulk
from tasks_app.models import Decision, UserTask
from tests.backoffice.test_approvals import ask, decide, page, refund, signed_in
from tests.conftest import World


def chosen(*tasks: UserTask) -> list[str]:
    return [f"{task.pk}:{task.revision}" for task in tasks]


def post(username: str, tasks: list[str], **form: Any) -> str:
    answer = signed_in(username).post("/admin/review/bulk/", {"task": tasks, **form})
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_the_preview_shows_what_differs_and_decides_nothing(world: World) -> None:
    tasks = [refund(world, amount) for amount in (900, 900, 18_400)]
    html = post("ann", chosen(*tasks))
    assert "3 tasks: <bdi>Payments: Refund a charge</bdi>" in html
    assert "The same for all" in html
    assert html.count("differs from most") == 1
    assert "Approve</bdi> all 3" in html
    assert not Decision.objects.exists()


def test_tasks_without_an_operation_are_told_apart_by_what_agents_wrote(world: World) -> None:
    draft = ask(world, title="Ship the beta?", draft="Dear all,\nwe ship.")
    plain = ask(world, title="Ship to Mars?", description="It is far. " * 30)
    html = post("ann", chosen(draft, plain))
    assert "2 tasks: <bdi>Approval</bdi>" in html
    assert html.count('<th scope="col">Task</th>') == 1
    for text in ("Ship the beta?", "Dear all, ⏎ we ship.", "Ship to Mars?"):
        assert html.count(f"<bdi>{text}</bdi>") == 1
    assert "It is far. It is far." in html
    assert len(html.split("<bdi>It is far.")[1].split("</bdi>")[0]) < 170
    assert '<th scope="col">Task</th>' not in post("ann", chosen(refund(world)))


def test_each_item_gets_its_own_answer(world: World) -> None:
    first, taken, stale, last = (refund(world, amount) for amount in (201, 202, 203, 204))
    texts = chosen(first, taken, stale, last)
    texts[2] = f"{stale.pk}:7"
    decide(signed_in("abe"), taken, "reject")
    html = post("ann", [*texts, texts[0], "rubbish"], action="approve", comment="All checked.")
    assert "2 decided, 2 not." in html
    assert "Already &#x27;reject&#x27; by abe" in html
    assert "You looked at revision 7; the present one is 1." in html
    statuses = [UserTask.objects.get(pk=task.pk).action for task in (first, taken, stale, last)]
    assert statuses == ["approve", "reject", None, "approve"]
    assert UserTask.objects.get(pk=last.pk).comment == "All checked."


def test_the_preview_says_what_is_skipped_and_why(world: World) -> None:
    like, alike = refund(world, 201), refund(world, 202)
    mine = refund(world, 203, run=world.run(participant="ann"))
    done = refund(world, 204)
    decide(signed_in("abe"), done)
    other, question = ask(world), ask(world, kind="text", title="What now?")
    foreign = f"{world.cast.other.pk}:1"
    texts = [*chosen(like, alike, mine, done, other, question), foreign]
    html = post("ann", texts)
    assert "2 tasks: <bdi>Payments: Refund a charge</bdi>" in html
    assert "5 will be skipped" in html
    for reason in (
        "Whoever started the session cannot decide",
        "It was finished meanwhile: Approve.",
        "It is another operation than most",
        "It asks for an answer of its own.",
        "not yours to see",
    ):
        assert reason in html
    assert html.count('name="task"') == 2


def test_actions_that_not_all_offer_are_counted(world: World) -> None:
    with_approve = [ask(world) for _ in range(3)]
    without = [ask(world, actions=["ship", "hold"]) for _ in range(2)]
    html = post("ann", chosen(*with_approve, *without))
    assert "(3 of 5 offer it)" in html
    assert html.count("Not offered: <bdi>Approve</bdi>, <bdi>Reject</bdi>") == 2
    assert html.count("Not offered: <bdi>Ship</bdi>, <bdi>Hold</bdi>") == 3
    html = post("ann", chosen(*with_approve, *without), action="approve")
    assert "3 decided, 2 not." in html
    assert html.count("This action is not offered on it; decide it on its own card.") == 2


def test_whoever_may_not_decide_decides_nothing_in_bulk(world: World) -> None:
    tasks = [refund(world, 201), refund(world, 202)]
    assert "2 will be skipped" in post("bob", chosen(*tasks))
    assert "0 decided, 2 not." in post("bob", chosen(*tasks), action="approve")
    assert "0 decided, 2 not." in post("cora", chosen(*tasks), action="approve")
    assert not Decision.objects.exists()


def test_only_what_can_be_decided_together_can_be_selected(world: World) -> None:
    refund(world)
    ask(world, kind="number")
    assert page("ann").count("data-select>") == 1
    assert page("bob").count("data-select>") == 0
    assert signed_in("ann").get("/admin/review/bulk/").status_code == 302
    assert signed_in("ann").post("/admin/review/bulk/", {}).status_code == 302


def test_of_more_than_fit_into_one_round_only_those_left_stay_selected(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MAX_ITEMS", 2)
    first, second, third = (refund(world, amount) for amount in (201, 202, 203))
    texts = chosen(first, second, third)
    preview = post("ann", texts)
    assert "1 more stays selected for the next round" in preview
    assert [name_of(preview, text) for text in texts] == ["task", "task", "rest"]
    done = post("ann", texts[:2], rest=texts[2:], action="approve")
    assert "2 decided." in done
    assert "1 more is still selected." in done
    assert [name_of(done, text) for text in texts] == [None, None, "task"]
    assert Decision.objects.filter(task=third).count() == 0
    assert "still selected" not in post("ann", texts[2:], action="approve")
    assert Decision.objects.count() == 3


def name_of(html: str, text: str) -> str | None:
    """Of the hidden field that carries this selected task on."""
    found = re.search(f'name="([a-z]+)" value="{text}"', html)
    return found[1] if found else None
