"""Quorums, reviewers and schemas through the client: the same on the fake and on the server."""

from collections.abc import Iterator

import pytest

from assent_client import Assent, Conflict, Invalid, Run, StaleRevision, StillWaiting
from assent_client.testing import FakeAssent
from tests.client.conftest import PATIENCE, FakeWorld, World


@pytest.fixture
def assent(world: World) -> Assent:
    return world.assent()


@pytest.fixture
def run(assent: Assent, job: str) -> Iterator[Run]:
    with assent.open_session("support", key=job) as session, session.open_run(key=job) as opened:
        yield opened


def test_a_task_waits_for_as_many_as_must_agree(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Ship it?", agent="support", quorum=2)
    world.as_person(task.id, "approve", by="ann")
    info = task.info()
    assert info.is_pending
    assert info.raw["quorum"] == 2
    assert [vote["by"]["name"] for vote in info.raw["votes"]] == ["ann"]
    with pytest.raises(StillWaiting):
        task.result(0.1)
    world.as_person(task.id, "approve", by="abe")
    result = task.result(PATIENCE)
    assert (result.performed_action, result.completed) == ("approve", True)
    assert result.completed_by is not None
    assert result.completed_by.name == "abe"


def test_a_key_is_one_voter(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Ship it?", agent="support", quorum=2)
    decider = world.decider
    assert decider.task(task.id).approve("fine").is_pending
    with pytest.raises(Conflict) as refused:
        decider.task(task.id).approve("fine")
    assert refused.value.code == "already_voted"
    world.as_person(task.id, "approve", by="ann")
    assert task.result(PATIENCE).performed_action == "approve"


def test_one_rejection_ends_it(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Ship it?", agent="support", quorum=2)
    world.as_person(task.id, "approve", by="ann")
    world.decider.task(task.id).reject("Not today.")
    result = task.result(PATIENCE)
    assert (result.performed_action, result.comment) == ("reject", "Not today.")


def test_votes_on_older_work_are_void(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Text", agent="support", draft="v0", quorum=2)
    decider = world.decider.task(task.id)
    decider.approve()
    task.update_draft("v1")
    with pytest.raises(StaleRevision):
        decider.approve(revision=1)
    world.as_person(task.id, "approve", by="ann")
    assert task.info().is_pending
    decider.info()
    assert decider.approve().status == "completed"
    assert task.result(PATIENCE).final_work == "v1"


def test_a_quorum_that_is_never_reached_is_refused(assent: Assent) -> None:
    for asked in ({"quorum": 99}, {"quorum": 0}, {"quorum": 1, "kind": "text"}):
        with pytest.raises(Invalid) as refused:
            assent.tasks.start("Ship it?", agent="support", **asked)  # type: ignore[arg-type]
        assert [error["field"] for error in refused.value.errors] == ["quorum"]


def test_reviewers_are_named(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Ship it?", agent="support", reviewers={"users": ["abe"]})
    assert task.info().raw["reviewers"] == {"users": ["abe"], "groups": []}
    with pytest.raises(Exception, match=r"abe|There is no such task"):
        world.as_person(task.id, "approve", by="ann")
    assert task.info().is_pending
    world.as_person(task.id, "approve", by="abe")
    assert task.result(PATIENCE).performed_action == "approve"
    with pytest.raises(Invalid) as refused:
        assent.tasks.start("Ship it?", agent="support", reviewers={"users": ["nobody"]})
    (error,) = refused.value.errors
    assert (error["field"], error["code"]) == ("reviewers.users.0", "not_found")


@pytest.mark.parametrize(
    ("arguments", "errors"),
    [
        ({"charge": "ch_1"}, [("/arguments/amount", "required")]),
        ({"charge": 5, "amount": 5}, [("/arguments/charge", "invalid_value")]),
        ({"charge": "ch_1", "amount": True}, [("/arguments/amount", "invalid_value")]),
        (
            {"charge": "ch_1", "amount": 5, "colour": "red"},
            [("/arguments/colour", "unknown_field")],
        ),
    ],
)
def test_arguments_that_do_not_fit_the_schema_are_named(
    run: Run, arguments: dict[str, object], errors: list[tuple[str, str]]
) -> None:
    with pytest.raises(Invalid) as refused:
        run.call("payments.refund", arguments)
    assert [(error["field"], error["code"]) for error in refused.value.errors] == errors


def test_the_fakes_people_take_turns_where_nobody_is_named() -> None:
    fake = FakeAssent("support")
    fake.person("zoe", "finance")
    fake.operation("payments.refund", lambda _: {"id": "re_1"}, quorum=2)
    with fake.client().open_session("support") as session, session.open_run() as run:
        call = run.start_call("payments.refund", {})
        fake.approve()
        assert call.info().status == "awaiting_approval"
        done = fake.approve()
        assert [vote["by"]["name"] for vote in done.raw["votes"]] == ["ann", "abe"]
        assert call.result(1).body == {"id": "re_1"}
    task = fake.client().tasks.start("T", agent="support", reviewers={"groups": ["finance"]})
    with pytest.raises(LookupError, match="for zoe, not for ann"):
        fake.approve(task.id, by="ann")
    decided = fake.approve(task.id).decided_by
    assert decided is not None
    assert decided.name == "zoe"


def test_the_fake_does_not_pretend_to_check_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="'oneOf' in parameters/properties/a"):
        FakeAssent().operation("a.b", parameters={"properties": {"a": {"oneOf": []}}})


def test_the_fake_says_that_it_knows_no_escalation() -> None:
    rule = {"escalate": {"reviewers": {"users": ["abe"]}, "timeout_seconds": 60}}
    with pytest.raises(Invalid) as refused:
        FakeAssent().client().tasks.start("T", agent="support", timeout=60, on_timeout=rule)
    assert refused.value.code == "not_supported"


def test_what_the_fake_checks_of_a_schema() -> None:
    world = FakeWorld()
    schema = {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "properties": {
            "n": {"type": ["integer", "null"], "minimum": 1, "exclusiveMaximum": 5},
            "s": {"type": "string", "minLength": 2, "maxLength": 3, "enum": ["ab", "abc", "a"]},
            "l": {"type": "array", "items": {"const": 1}, "maxItems": 2},
        },
    }
    world.fake.operation("local.all", needs_approval=False, parameters=schema)
    with world.assent().open_session("support") as session, session.open_run() as run:
        for good in ({"n": 1.0}, {"n": None}, {"s": "ab", "l": [1, 1]}, {"x": "y"}):
            assert run.start_call("local.all", good).info().status == "executing"
        for bad in ({"n": 0}, {"n": 5}, {"n": 1.5}, {"s": "a"}, {"s": "zz"}, {"l": [2]}, {"x": 1}):
            with pytest.raises(Invalid):
                run.start_call("local.all", bad)
