"""Sessions and runs as context managers: what they open, they end."""

import pytest

from assent_client import Assent, Run, RunEnded, SessionEnded, StillWaiting
from tests.client.conftest import PATIENCE, World


@pytest.fixture
def assent(world: World) -> Assent:
    return world.assent()


def test_success_completes_the_run_and_ends_the_session(assent: Assent, job: str) -> None:
    opened = assent.open_session(
        "support", key=job, participant="zoe@example.com", title="T", metadata={"a": 1}
    )
    with opened as session:
        with session.open_run(title="R", metadata={"b": 2}) as run:
            assert run.info()["status"] == "running"
        ended = run.info()
        shown = session.info()
    assert (ended["status"], ended["title"], ended["metadata"]) == ("completed", "R", {"b": 2})
    assert (shown["status"], shown["participant"]) == ("active", "zoe@example.com")
    assert session.info()["status"] == "ended"


def test_an_output_given_by_hand_is_kept(assent: Assent) -> None:
    with assent.open_session("support") as session, session.open_run() as run:
        run.complete({"refunded": 900})
    assert run.info()["output"] == {"refunded": 900}


def test_an_exception_fails_the_run_with_the_error(assent: Assent) -> None:
    def work() -> None:
        with assent.open_session("support") as session, session.open_run() as run:
            opened.append(run)
            raise ValueError("no such order")

    opened: list[Run] = []
    with pytest.raises(ValueError, match="no such order"):
        work()
    shown = opened[0].info()
    assert (shown["status"], shown["error"]) == ("failed", "ValueError: no such order")
    assert assent.session(shown["session"]).info()["status"] == "terminated"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_what_has_a_key_to_the_next_start(
    assent: Assent, job: str, interruption: type[BaseException]
) -> None:
    def work(*, interrupted: bool) -> str:
        with assent.open_session("support", key=job) as session:
            with session.open_run(key=job) as run:
                run.tasks.start("Order", key=job)
                if interrupted:
                    raise interruption
            return run.id

    with pytest.raises(interruption):
        work(interrupted=True)
    (task,) = assent.tasks.list(status="pending", run=_run_of(assent, job))
    assert task.is_pending
    assert work(interrupted=False) == task.run
    assert assent.task(task.id).info().cancelled_reason == "run_ended"


def test_waiting_given_up_leaves_what_has_a_key_too(assent: Assent, job: str) -> None:
    with (
        pytest.raises(StillWaiting),
        assent.open_session("support", key=job) as session,
        session.open_run(key=job) as run,
    ):
        run.tasks.create_and_wait("Order", key=job, wait=0.1)
    assert run.info()["status"] == "waiting"
    assert session.info()["status"] == "active"


def test_an_interruption_ends_what_nobody_could_find_again(assent: Assent) -> None:
    def work() -> None:
        with assent.open_session("support") as session:
            opened.append(session.id)
            raise KeyboardInterrupt

    opened: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        work()
    assert assent.session(opened[0]).info()["status"] == "terminated"


def test_a_handle_from_an_id_ends_nothing(assent: Assent) -> None:
    session = assent.open_session("support").open()
    run = session.open_run().open()
    with assent.session(session.id), assent.run(run.id) as same:
        assert same.id == run.id
    assert run.info()["status"] == "running"
    run.terminate("enough")
    session.end()
    assert run.info()["status"] == "terminated"


def test_what_somebody_else_ended_is_said(assent: Assent) -> None:
    with (
        pytest.raises(RunEnded),
        assent.open_session("support") as session,
        session.open_run() as run,
    ):
        assent.run(run.id).terminate("stop")
    with (
        pytest.raises(SessionEnded),
        assent.open_session("support") as session,
    ):
        assent.session(session.id).terminate("stop")


def test_a_finished_job_can_be_started_again(assent: Assent, job: str) -> None:
    for _ in range(2):
        with assent.open_session("support", key=job) as session, session.open_run(key=job) as run:
            pass
    assert run.info()["status"] == "completed"


def test_a_sub_agents_run_goes_when_its_parent_ends(assent: Assent) -> None:
    with assent.open_session("support") as session, session.open_run() as run:
        child = run.open_child("research").open()
        task = child.tasks.start("May I?", kind="aitl_escalation")
        shown = child.info()
        assert (shown["agent"], shown["parent_run"]) == ("research", run.id)
    assert child.info()["status"] == "terminated"
    assert task.info().cancelled_reason == "parent_ended"


def test_a_task_may_survive_its_run(world: World, assent: Assent) -> None:
    with assent.open_session("support") as session, session.open_run() as run:
        kept = run.tasks.start("Later", survive_parent_close=True)
        dropped = run.tasks.start("Now")
    assert dropped.info().cancelled_reason == "run_ended"
    world.decider.task(kept.id).approve()
    assert kept.result(PATIENCE).performed_action == "approve"


def test_what_is_not_opened_has_no_id(assent: Assent) -> None:
    with pytest.raises(RuntimeError, match="Open it first"):
        assent.open_session("support").id  # noqa: B018


def _run_of(assent: Assent, job: str) -> str:
    session = assent.open_session("support", key=job).open()
    return session.open_run(key=job).open().id
