"""Tasks through the client: asked, waited for, worked on and decided."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from assent_client import (
    AlreadyCancelled,
    AlreadyCompleted,
    Assent,
    CommentRequired,
    DashboardOnly,
    DeadlinePassed,
    IdempotencyMismatch,
    InsufficientScope,
    Invalid,
    RevisionRequired,
    StaleRevision,
    StillWaiting,
    UnknownAction,
)
from tests.client.conftest import PATIENCE, World, only_pending

Meanwhile = Callable[..., None]


@pytest.fixture
def assent(world: World) -> Assent:
    return world.assent()


def test_create_and_wait_gets_action_comment_and_work(
    world: World, assent: Assent, job: str, meanwhile: Meanwhile
) -> None:
    def decide() -> None:
        task = only_pending(assent, agent="support")
        world.decider.task(task.id).perform("hold", "Waiting for inventory restock")

    with assent.open_session("support", key=job, participant="zoe") as session:
        for task in assent.tasks.list(status="pending"):
            assent.task(task.id).cancel()
        with session.open_run(key=job) as run:
            meanwhile(decide, 0.5)
            result = run.tasks.create_and_wait(
                "Order 7",
                description="900 €",
                actions=["ship", "hold", "cancel", "refund"],
                draft={"order": 7},
                timeout=timedelta(hours=24),
                wait=30,
            )
    assert result.performed_action == "hold"
    assert result.comment == "Waiting for inventory restock"
    assert (result.completed, result.timed_out, result.cancelled) == (True, False, False)
    assert result.initial_work == result.final_work == {"order": 7}
    assert result.completed_at is not None
    assert result.completed_by is not None
    assert result.completed_by.type == "api_key"


def test_what_was_asked_for_is_read_back_from_the_id_alone(world: World, assent: Assent) -> None:
    identity = assent.tasks.create(
        "Review",
        agent="support",
        description="Please",
        participant="test-reviewer",
        draft="v0",
        actions=["approve", "reject", "hold"],
        timeout=timedelta(hours=24),
    )
    info = world.assent().task(identity).info()
    assert (info.title, info.description, info.participant) == ("Review", "Please", "test-reviewer")
    assert info.available_actions == ["approve", "reject", "hold"]
    assert (info.draft, info.initial_work, info.status) == ("v0", "v0", "pending")
    assert not info.is_completed
    assert info.performed_action is None
    created = info.raw["created_at"]
    assert info.due_at is not None
    assert info.due_at.isoformat()[:13] > created[:13]


def test_without_actions_there_are_approve_and_reject(assent: Assent) -> None:
    task = assent.tasks.start("Simple", agent="support", actions=[])
    assert task.actions() == ["approve", "reject"]
    assert task.info().due_at is None


def test_the_draft_is_worked_on_and_decided(world: World, assent: Assent) -> None:
    task = assent.tasks.start(
        "Text",
        agent="support",
        draft="Initial draft v0",
        actions=["approve", "reject", "request-changes"],
    )
    for number in (1, 2, 3):
        assert task.update_draft(f"Draft version {number}") == number + 1
        assert task.draft() == f"Draft version {number}"
    assert task.initial_work() == "Initial draft v0"
    person = world.decider.task(task.id)
    assert person.draft() == "Draft version 3"
    person.approve("All revisions look great!")
    result = task.result(PATIENCE)
    assert result.performed_action == "approve"
    assert result.comment == "All revisions look great!"
    assert (result.initial_work, result.final_work) == ("Initial draft v0", "Draft version 3")


def test_who_has_not_looked_again_cannot_decide(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Text", agent="support", draft="v0")
    seen = world.decider.task(task.id)
    seen.info()
    task.update_draft("v1")
    with pytest.raises(RevisionRequired):
        world.decider.task(task.id).approve()
    with pytest.raises(StaleRevision) as refused:
        seen.approve()
    assert refused.value.task is not None
    assert refused.value.task["draft"] == "v1"
    assert task.info().is_pending
    seen.info()
    assert seen.approve().status == "completed"


def test_deciding_may_bring_the_last_change_of_the_work(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Text", agent="support", draft="v0")
    world.decider.task(task.id).perform("approve", draft="v1 by me")
    assert task.result(PATIENCE).final_work == "v1 by me"


def test_two_savers_do_not_overwrite_each_other(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Text", agent="support", draft="v0")
    other = world.assent().task(task.id)
    other.draft()
    task.update_draft("mine")
    with pytest.raises(StaleRevision):
        other.update_draft("theirs")
    assert task.draft() == "mine"


def test_a_rejection_is_a_completed_task(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Content", agent="support")
    world.decider.task(task.id).reject("Missing required documentation")
    result = task.result(PATIENCE)
    assert (result.status, result.completed) == ("completed", True)
    assert result.performed_action == "reject"
    assert result.comment == "Missing required documentation"


def test_the_second_decision_loses_and_learns_who_won(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Content", agent="support")
    world.decider.task(task.id).approve("first")
    with pytest.raises(AlreadyCompleted, match="approve") as lost:
        world.decider.task(task.id).reject("second")
    assert lost.value.task is not None
    assert lost.value.task["outcome"]["comment"] == "first"
    assert task.result(PATIENCE).comment == "first"


def test_an_agents_key_cannot_decide(assent: Assent) -> None:
    task = assent.tasks.start("Content", agent="support")
    with pytest.raises(InsufficientScope):
        task.approve("me")
    assert task.info().is_pending


def test_an_action_that_is_not_offered_is_refused(world: World, assent: Assent) -> None:
    actions = ["ship", {"name": "hold", "comment_required": True}]
    task = assent.tasks.start("Order", agent="support", actions=actions)
    person = world.decider.task(task.id)
    with pytest.raises(UnknownAction, match="ship, hold"):
        person.approve()
    with pytest.raises(UnknownAction):
        person.perform()
    with pytest.raises(CommentRequired):
        person.perform("hold")
    assert task.info().is_pending


def test_a_time_out_is_no_decision(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Order", agent="support", draft="v0", timeout=timedelta(hours=48))
    task.update_draft("v1")
    world.let_pass(timedelta(hours=48, seconds=1))
    result = task.result(PATIENCE)
    assert (result.status, result.timed_out, result.completed) == ("completed", True, False)
    assert result.performed_action is None
    assert result.comment is None
    assert result.completed_by is None
    assert (result.initial_work, result.final_work) == ("v0", "v1")
    with pytest.raises(DeadlinePassed):
        world.decider.task(task.id).approve(revision=2)


def test_a_time_out_may_act_where_that_was_asked_for(world: World, assent: Assent) -> None:
    rule = {"action": "hold"}
    task = assent.tasks.start(
        "Order", agent="support", actions=["ship", "hold"], timeout=60, on_timeout=rule
    )
    world.let_pass(timedelta(seconds=61))
    result = task.result(PATIENCE)
    assert (result.performed_action, result.timed_out, result.completed) == ("hold", True, False)
    assert result.completed_by is not None
    assert result.completed_by.type == "system"


def test_a_withdrawn_task_is_cancelled_for_good(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Order", agent="support")
    assert task.cancel("not needed").cancelled_reason == "withdrawn"
    result = task.result(PATIENCE)
    assert (result.cancelled, result.completed, result.timed_out) == (True, False, False)
    with pytest.raises(AlreadyCancelled):
        world.decider.task(task.id).approve()
    with pytest.raises(AlreadyCancelled):
        task.cancel()


def test_metadata_merges_and_later_wins(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Order", agent="support", metadata={"a": 1, "b": 1})
    assert task.update_metadata(x=1).metadata == {"a": 1, "b": 1, "x": 1}
    with pytest.raises(Invalid):
        task.update_metadata()
    world.decider.task(task.id).perform("approve", metadata={"b": 2, "c": 3})
    assert task.result(PATIENCE).metadata == {"a": 1, "b": 2, "c": 3, "x": 1}
    with pytest.raises(AlreadyCompleted):
        task.update_metadata(y=1)


def test_the_same_key_finds_the_same_task_even_when_it_is_over(
    world: World, assent: Assent, job: str
) -> None:
    first = assent.tasks.start("Order", agent="support", key=job)
    assert assent.tasks.start("Order", agent="support", key=job).id == first.id
    with pytest.raises(IdempotencyMismatch):
        assent.tasks.start("Another order", agent="support", key=job)
    world.decider.task(first.id).approve()
    again = assent.tasks.create_and_wait("Order", agent="support", key=job, wait=5)
    assert (again.task, again.performed_action) == (first.id, "approve")
    new = assent.tasks.start("Another order", agent="support", key=job, on_conflict="replace")
    assert new.id != first.id


def test_questions_take_their_kind_of_answer(world: World, assent: Assent) -> None:
    tasks = assent.tasks
    text = tasks.start("Which address?", agent="support", kind="text")
    number = tasks.start("How many?", agent="support", kind="number", input={"integer": True})
    options = [{"id": "red", "label": "Red"}, {"id": "blue", "label": "Blue"}]
    choice = tasks.start("Colour?", agent="support", kind="multi_option", options=options)
    decider = world.decider
    for task, bad in ((text, " "), (number, "7"), (number, 7.5), (choice, "green")):
        with pytest.raises(Invalid):
            decider.task(task.id).perform(value=bad)
    decider.task(text.id).perform(value="Main Street 1")
    decider.task(number.id).perform(value=7)
    decider.task(choice.id).perform(value="blue")
    answers = [tasks.result(task, 5).value for task in (text, number, choice)]
    assert answers == ["Main Street 1", 7, "blue"]


def test_an_escalation_is_answered_by_a_person_only(world: World, assent: Assent) -> None:
    task = assent.tasks.start("May I?", agent="research", kind="aitl_escalation")
    with pytest.raises(DashboardOnly):
        world.decider.task(task.id).perform("answer", value="yes")
    world.as_person(task.id, "answer", value="Yes, once.")
    result = task.result(PATIENCE)
    assert (result.performed_action, result.value) == ("answer", "Yes, once.")


def test_waiting_is_given_up_without_giving_up_the_task(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Order", agent="support")
    with pytest.raises(StillWaiting) as waiting:
        task.result(0.2)
    assert waiting.value.shown is not None
    assert waiting.value.shown["status"] == "pending"
    with pytest.raises(StillWaiting):
        task.result(0)
    world.decider.task(task.id).approve()
    assert task.result(PATIENCE).performed_action == "approve"
    assert assent.tasks.result(task.id, 5).performed_action == "approve"


def test_what_cannot_be_asked_for_is_said_before_asking(assent: Assent) -> None:
    with pytest.raises(TypeError, match="run"):
        assent.tasks.start("Order")
    with pytest.raises(TypeError, match="titel"):
        assent.tasks.start("Order", agent="support", titel="x")
    with pytest.raises(Invalid) as refused:
        assent.tasks.start(" ", agent="support")
    assert [error["field"] for error in refused.value.errors] == ["title"]


def test_the_audit_trail_is_read_oldest_first(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Order", agent="support")
    world.decider.task(task.id).approve()
    types = [event["type"] for event in task.events()]
    assert types[0] == "task.created"
    assert types[-1] == "task.completed"
