"""Tool calls through the client: waited for, through approval, to their result or error."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from assent_client import (
    Assent,
    Blocked,
    CallInfo,
    Cancelled,
    Failed,
    IdempotencyMismatch,
    Invalid,
    OutcomeUnknown,
    Rejected,
    Run,
    StillWaiting,
    TimedOut,
)
from tests.client.conftest import PATIENCE, World, only_pending

Meanwhile = Callable[..., None]


@pytest.fixture
def run(world: World, job: str) -> Iterator[Run]:
    assent = world.assent()
    with assent.open_session("support", key=job) as session, session.open_run(key=job) as opened:
        yield opened


@pytest.fixture
def assent(world: World) -> Assent:
    return world.assent()


def refund(amount: float, charge: str = "ch_1") -> dict[str, object]:
    return {"charge": charge, "amount": amount}


def test_a_small_one_comes_back_with_its_result(world: World, run: Run, job: str) -> None:
    result = run.call("payments.refund", refund(40, job))
    assert result.status_code in (200, 201)
    assert result.body["amount"] == 40
    assert result.body["id"].startswith("re_")
    assert [item for item in world.refunds() if item["charge"] == job] == [refund(40, job)]


def test_a_large_one_waits_for_the_person(
    world: World, assent: Assent, run: Run, job: str, meanwhile: Meanwhile
) -> None:
    waited: list[CallInfo] = []

    def approve() -> None:
        task = only_pending(assent, run=run.id)
        world.decider.task(task.id).approve("fine")

    meanwhile(approve)
    result = run.call(
        "payments.refund",
        refund(900, job),
        key=job,
        reason="It arrived broken.",
        on_waiting=waited.append,
    )
    assert result.body["amount"] == 900
    (info,) = waited
    assert (info.status, info.reason, info.key) == ("awaiting_approval", "It arrived broken.", job)
    assert info.url.startswith("http")
    assert run.call("payments.refund", refund(900, job), key=job, reason="It arrived broken.") == (
        result
    )
    assert len([item for item in world.refunds() if item["charge"] == job]) == 1


def test_a_rejection_is_raised_with_its_comment(world: World, run: Run, job: str) -> None:
    call = run.start_call("payments.refund", refund(900, job))
    task = call.info().task
    assert task is not None
    world.decider.task(task).reject("Ask for a photo first.")
    with pytest.raises(Rejected, match="photo") as refused:
        call.result(PATIENCE)
    error = refused.value
    assert (error.comment, error.code) == ("Ask for a photo first.", "rejected")
    assert error.decided_by is not None
    assert error.decided_by.type == "api_key"
    assert error.call.operation == "payments.refund"
    assert [item for item in world.refunds() if item["charge"] == job] == []


def test_a_rejection_without_a_word_has_no_comment(world: World, run: Run) -> None:
    call = run.start_call("payments.refund", refund(900))
    world.as_person(str(call.info().task), "reject")
    with pytest.raises(Rejected) as refused:
        call.result(PATIENCE)
    assert refused.value.comment is None
    assert refused.value.detail == "Reject by ann."


def test_actions_of_the_operation_decide_whether_it_runs(world: World, run: Run, job: str) -> None:
    held = run.start_call("payments.refund_or_hold", refund(5, job))
    world.decider.task(str(held.info().task)).perform("hold", "Not today.")
    with pytest.raises(Rejected, match="Not today"):
        held.result(PATIENCE)
    paid = run.start_call("payments.refund_or_hold", refund(6, job))
    world.decider.task(str(paid.info().task)).perform("pay")
    assert paid.result(PATIENCE).body["amount"] == 6


def test_nobody_in_time_is_raised_as_that(world: World, run: Run, job: str) -> None:
    call = run.start_call("payments.short", refund(900, job))
    world.let_pass(timedelta(seconds=61))
    with pytest.raises(TimedOut) as refused:
        call.result(PATIENCE)
    assert refused.value.comment is None
    assert refused.value.decided_by is None
    assert [item for item in world.refunds() if item["charge"] == job] == []


def test_what_the_service_refuses_has_failed_with_its_answer(run: Run, job: str) -> None:
    with pytest.raises(Failed) as refused:
        run.call("payments.nowhere", refund(5, job))
    assert refused.value.result is not None
    assert refused.value.result.status_code == 404
    assert refused.value.result.body == {"error": "There is no such thing."}


def test_what_the_guard_stops_is_blocked_with_its_reason(world: World, run: Run, job: str) -> None:
    with pytest.raises(Blocked) as refused:
        run.call("payments.forbidden", refund(5, job))
    assert refused.value.code == "blocked"
    assert refused.value.detail
    assert refused.value.call.task is None
    assert [item for item in world.refunds() if item["charge"] == job] == []


def test_what_may_have_happened_is_unknown_until_a_person_settles_it(
    world: World, run: Run, meanwhile: Meanwhile
) -> None:
    call = run.start_call("flaky.lost", {"x": 1})
    with pytest.raises(OutcomeUnknown) as refused:
        call.result(PATIENCE)
    assert refused.value.code == "no_answer"
    task = str(call.info().task)
    meanwhile(lambda: world.decider.task(task).perform("it_happened"))
    assert call.settled(PATIENCE).body is None
    assert call.info().status == "succeeded"


def test_a_withdrawn_call_was_not_performed(run: Run) -> None:
    call = run.start_call("payments.refund", refund(900))
    assert call.cancel("changed my mind").status == "cancelled"
    with pytest.raises(Cancelled, match="changed my mind"):
        call.result(PATIENCE)


def test_giving_up_waiting_leaves_the_call_to_be_found_again(
    world: World, run: Run, job: str
) -> None:
    with pytest.raises(StillWaiting):
        run.call("payments.refund", refund(900, job), key=job, timeout=0.2)
    task = run.start_call("payments.refund", refund(900, job), key=job).info().task
    world.decider.task(str(task)).approve()
    assert (
        run.call("payments.refund", refund(900, job), key=job, timeout=PATIENCE).body["amount"]
        == 900
    )
    with pytest.raises(IdempotencyMismatch):
        run.call("payments.refund", refund(901, job), key=job)


def test_a_key_of_another_run_names_the_first_call(world: World, job: str) -> None:
    assent = world.assent()
    with assent.open_session("support") as session:
        with session.open_run() as first:
            call = first.start_call("payments.refund", refund(40, job), key=job)
            call.result(PATIENCE)
        with session.open_run() as second, pytest.raises(IdempotencyMismatch) as refused:
            second.call("payments.refund", refund(40, job), key=job)
    assert refused.value.facts["existing"] == call.id
    assert len([item for item in world.refunds() if item["charge"] == job]) == 1


def test_an_operation_that_does_not_exist_is_named(run: Run) -> None:
    with pytest.raises(Invalid, match=r"payments\.nothing"):
        run.call("payments.nothing", {})
