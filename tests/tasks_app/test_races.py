"""Of all who race for a task, one wins; real threads, a barrier, separate connections."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection  # noqa: F401 - read by the condition of the mark

from accounts_app.models import AuditEntry
from accounts_app.services.audit import verify
from integrations_app.models import Clearance, OutboxEvent, ToolCall
from integrations_app.services import execution
from integrations_app.services.execution import execute
from tasks_app.models import Decision, UserTask
from tasks_app.services.sweeping import sweep
from tests.api_client import Api
from tests.conftest import World
from tests.tasks_app.racing import ROUNDS, codes, race

pytestmark = pytest.mark.usefixtures("unthrottled")
on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="One writer at a time"
)


def keys(world: World, number: int) -> list[Api]:
    return [Api(world.cast.key("decide,read", name=f"racer {n}")) for n in range(number)]


def test_one_decision_whoever_races(shared_world: World) -> None:
    world = shared_world
    racers = keys(world, 6)
    run = world.run()
    for number in range(ROUNDS):
        call = world.refund(900 + number, run).ok(201)
        path = f"tasks/{call['task']}"
        answers = race(
            *[partial(k.post, f"{path}/approve", {"revision": 1}) for k in racers[:3]],
            *[partial(k.post, f"{path}/reject", {"comment": "no"}) for k in racers[3:]],
            partial(world.agent.post, f"{path}/cancel", {"reason": "never mind"}),
        )
        won = [answer for answer in answers if answer.status == 200]
        lost = [answer for answer in answers if answer.status == 409]
        assert (len(won), len(lost)) == (1, 6), answers
        assert {answer.code for answer in lost} <= {"already_completed", "already_cancelled"}
        for answer in lost:
            assert answer["task"]["outcome"]["decided_by"] is not None
        task = UserTask.objects.get(pk=call["task"])
        assert Decision.objects.filter(task=task).count() == 1
        ended = {"task.completed", "task.cancelled"}
        assert AuditEntry.objects.filter(target_id=str(task.pk), verb__in=ended).count() == 1
        assert OutboxEvent.objects.filter(subject_id=task.pk, type__in=ended).count() == 1
        approved = task.action == "approve"
        assert Clearance.objects.filter(call=task.tool_call).count() == int(approved)
    assert list(verify()) == []


def test_a_decision_and_the_deadline(
    shared_world: World, move_clock: Callable[[float], None]
) -> None:
    world = shared_world
    (racer,) = keys(world, 1)
    run = world.run()
    for _ in range(ROUNDS):
        body = {"run": run, "title": "T", "timeout_seconds": 60}
        task = world.agent.post("tasks", body).ok(201)
        move_clock(61)
        decided, _ = race(
            lambda t=task: racer.post(f"tasks/{t['id']}/approve"),
            lambda: sweep(execute_here=False),
        )
        assert (decided.status, decided.code) == (409, "deadline_passed")
        # Where the late decision had the lock, the sweeper passed over the task.
        sweep(execute_here=False)
        assert world.agent.get(f"tasks/{task['id']}")["outcome"]["timed_out"] is True


def test_a_decision_and_the_end_of_the_run(shared_world: World) -> None:
    world = shared_world
    (racer,) = keys(world, 1)
    for _ in range(ROUNDS):
        run = world.run()
        call = world.refund(900, run).ok(201)
        decided, ended = race(
            lambda c=call: racer.post(f"tasks/{c['task']}/approve"),
            lambda r=run: world.agent.post(f"runs/{r}/complete"),
        )
        ended.ok()
        shown = world.agent.get(f"tool-calls/{call['id']}")
        assert shown["status"] == "cancelled"
        assert decided.status in (200, 409)
        assert execute(ToolCall.objects.get(pk=call["id"]).pk).status == ""
    assert world.receiver.hits == []


def test_many_workers_send_a_call_once(shared_world: World) -> None:
    world = shared_world
    run = world.run()
    for _ in range(ROUNDS):
        call = world.refund(40, run).ok(201)
        pk = ToolCall.objects.get(pk=call["id"]).pk
        outcomes = race(*[lambda pk=pk: execute(pk).status for _ in range(6)])
        assert sorted(map(str, outcomes)) == ["", "", "", "", "", "succeeded"]
        assert world.receiver.effects()[call["id"]] == 1


def claimed_late(
    world: World, monkeypatch: pytest.MonkeyPatch, late: Callable[..., int]
) -> tuple[Any, int]:
    """A worker that read a call as queued, and claims it when another one has sent it.

    Args:
        world: with an operation that may happen once.
        monkeypatch: of the test.
        late: the move by which the late one claims.

    Returns:
        What came of the late one, and how often the call was sent.
    """
    pk = UUID(world.refund(40).ok(201)["id"])
    plain = execution.advance

    def another_one_first(*arguments: Any, **values: Any) -> int:
        monkeypatch.setattr(execution, "advance", plain)
        (done,) = race(partial(execute, pk))
        assert done.status == "succeeded"
        return late(*arguments, **values)

    monkeypatch.setattr(execution, "advance", another_one_first)
    (answer,) = race(partial(execute, pk))
    return answer, world.receiver.effects()[str(pk)]


def unguarded(rows: Any, moves: Any, target: str, *, source: str, **values: Any) -> int:
    """A claim of a call that does not look at where it stands."""
    return ToolCall.objects.update(status=target, **values)


@on_postgresql
def test_a_worker_that_comes_late_sends_nothing(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, sent = claimed_late(shared_world, monkeypatch, execution.advance)
    assert (answer.status, sent) == ("", 1)


@on_postgresql
def test_a_worker_that_comes_late_without_the_guard(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, sent = claimed_late(shared_world, monkeypatch, unguarded)
    # That it went no further was left to the attempts' constraint.
    assert (codes([answer]), sent) == (["IntegrityError"], 1)


@on_postgresql
def test_a_worker_that_comes_late_without_any_guard(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution.Attempt.objects, "create", lambda **columns: None)
    answer, sent = claimed_late(shared_world, monkeypatch, unguarded)
    # The money went out twice.
    assert (answer.status, sent) == ("succeeded", 2)


def test_one_object_for_one_key(shared_world: World) -> None:
    world = shared_world
    run = world.run()
    agents = [Api(world.cast.key("runs", name=f"agent {n}")) for n in range(6)]
    body = {
        "run": run,
        "operation": "payments.refund",
        "arguments": {"charge": "ch_1", "amount": 900},
        "key": "same",
    }
    answers = race(*[lambda a=a: a.post("tool-calls", body) for a in agents])
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 200, 201]
    assert len({answer["id"] for answer in answers}) == 1
    assert ToolCall.objects.count() == 1
    assert UserTask.objects.count() == 1


def test_sweepers_do_everything_once(
    shared_world: World, move_clock: Callable[[float], None]
) -> None:
    world = shared_world
    run = world.run()
    for number in range(12):
        body = {"run": run, "title": f"T{number}", "timeout_seconds": 60}
        world.agent.post("tasks", body).ok(201)
    move_clock(61)

    def swept() -> int:
        return sweep(execute_here=False)["tasks_timed_out"]

    # A sweeper passes over what another one is at; the next sweep finds what was left.
    done = race(*[swept] * 3)
    assert sum(done) + swept() == 12
    assert OutboxEvent.objects.filter(type="task.timed_out").count() == 12
    assert list(verify()) == []
