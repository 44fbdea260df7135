"""Of all who race for the same step of a review, one wins; and what happens without the guard.

Each race runs with real threads, a barrier, and a connection for each. Each has a control that
takes the guard out and shows the race; those run on PostgreSQL, because the embedded database
lets one writer in at a time.
"""

import datetime as dt
import threading
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection
from django.db.models import Q, Value

from accounts_app.services.unit import unit_of_work
from integrations_app.models import Run, ToolCall
from integrations_app.services.ending import LastWords, end_run
from integrations_app.states import RunStatus
from tasks_app.kinds import Answer as Given
from tasks_app.models import Decision, DraftRevision, UserTask, Vote
from tasks_app.services import (
    access,
    claims,
    closing,
    creating,
    deadlines,
    deciding,
    drafts,
    voting,
)
from tasks_app.services.claims import claim, next_task
from tasks_app.services.creating import TaskRequest, create_task
from tasks_app.services.deadlines import expire
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.drafts import save_draft
from tests.conftest import World
from tests.tasks_app.racing import ROUNDS, Act, codes, race

on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="One writer at a time"
)


def ask(world: World, **members: object) -> UUID:
    body = {"agent": "support", "title": "Ship?", **members}
    return UUID(world.agent.post("tasks", body).ok(201)["id"])


def people(world: World, *names: str) -> list[Any]:
    return [world.cast.actor(name) for name in names]


def approval(actor: Any, pk: UUID) -> Act:
    return partial(decide, actor, pk, 1, lambda: Decide(Given("approve")))


def unlocked(run_ids: Any) -> list[Run]:
    return list(Run.objects.filter(pk__in=run_ids))


def unguarded(ids: Any, rows: Any, moves: Any, target: str, **values: Any) -> bool:
    """A move that does not look at where it starts from."""
    return bool(rows.filter(pk__in=ids).update(status=target, **values))


def meeting(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, number: int = 2) -> None:
    """Let so many threads meet just after they called a function."""
    barrier, plain = threading.Barrier(number, timeout=60), getattr(module, name)

    def met(*args: Any, **options: Any) -> Any:
        answer = plain(*args, **options)
        barrier.wait()
        return answer

    monkeypatch.setattr(module, name, met)


def test_two_saves_of_one_revision(shared_world: World) -> None:
    ann, abe, admin = people(shared_world, "ann", "abe", "admin")
    for _ in range(ROUNDS):
        pk = ask(shared_world, draft="v0")
        answers = race(
            *[
                partial(save_draft, actor, pk, 1, lambda n=n: f"v{n}")
                for n, actor in enumerate((ann, abe, admin), start=1)
            ]
        )
        assert codes(answers) == ["stale_revision", "stale_revision", "won"]
        task = UserTask.objects.get(pk=pk)
        kept = DraftRevision.objects.filter(task=pk).order_by("revision")
        assert [row.revision for row in kept] == [1, 2]
        assert (task.draft, task.revision) == (kept[1].draft, 2)


@on_postgresql
def test_two_saves_without_the_guard(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pk = ask(shared_world, draft="v0")
    monkeypatch.setattr(access, "lock_runs", unlocked)
    free = SimpleNamespace(filter=lambda pk, revision: UserTask.objects.filter(pk=pk))
    monkeypatch.setattr(
        drafts, "UserTask", SimpleNamespace(objects=SimpleNamespace(pending=lambda: free))
    )
    meeting(monkeypatch, drafts, "check_revision")
    ann, abe = people(shared_world, "ann", "abe")
    answers = race(
        partial(save_draft, ann, pk, 1, lambda: "a"), partial(save_draft, abe, pk, 1, lambda: "b")
    )
    # Both believed that they had saved; only the history's own constraint stood in the way.
    assert codes(answers) == ["IntegrityError", "won"]


def test_two_last_votes(shared_world: World) -> None:
    ann, abe = people(shared_world, "ann", "abe")
    for _ in range(ROUNDS):
        pk = ask(shared_world, quorum=2)
        assert codes(race(approval(ann, pk), approval(abe, pk))) == ["won", "won"]
        assert UserTask.objects.get(pk=pk).status == "completed"
        assert (Vote.objects.filter(task=pk).count(), Decision.objects.filter(task=pk).count()) == (
            2,
            1,
        )


@on_postgresql
def test_two_last_votes_without_the_guard(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pk = ask(shared_world, quorum=2)
    monkeypatch.setattr(access, "lock_runs", unlocked)
    meeting(monkeypatch, voting, "_agreeing")
    ann, abe = people(shared_world, "ann", "abe")
    assert codes(race(approval(ann, pk), approval(abe, pk))) == ["won", "won"]
    # Enough votes, and still pending for ever.
    assert (UserTask.objects.get(pk=pk).status, Vote.objects.count()) == ("pending", 2)


def test_one_person_votes_once_however_fast(shared_world: World) -> None:
    (ann,) = people(shared_world, "ann")
    for _ in range(ROUNDS):
        pk = ask(shared_world, quorum=2)
        answers = race(approval(ann, pk), approval(ann, pk), approval(ann, pk))
        assert codes(answers) == ["already_voted", "already_voted", "won"]
        assert UserTask.objects.get(pk=pk).status == "pending"


def test_one_person_who_presses_both_buttons_decides_once(shared_world: World) -> None:
    (ann,) = people(shared_world, "ann")
    for _ in range(ROUNDS):
        pk = ask(shared_world)
        reject = partial(decide, ann, pk, 1, lambda: Decide(Given("reject")))
        assert codes(race(approval(ann, pk), reject)) == ["already_completed", "won"]
        assert Decision.objects.filter(task=pk).count() == 1


def test_two_claims(shared_world: World) -> None:
    for _ in range(ROUNDS):
        pk = ask(shared_world)
        actors = people(shared_world, "ann", "abe", "admin")
        answers = race(*[partial(claim, actor, pk) for actor in actors])
        assert codes(answers) == ["claimed_by_other", "claimed_by_other", "won"]
        (won,) = [answer for answer in answers if not isinstance(answer, Exception)]
        assert UserTask.objects.get(pk=pk).claim_token == won.claim_token


@on_postgresql
def test_two_claims_without_the_guard(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pk = ask(shared_world)
    monkeypatch.setattr(claims, "_UNCLAIMED", Q())
    meeting(monkeypatch, claims, "_claimable")
    ann, abe = people(shared_world, "ann", "abe")
    assert codes(race(partial(claim, ann, pk), partial(claim, abe, pk))) == ["won", "won"]


def test_next_serves_each_of_many_another_task(shared_world: World) -> None:
    ready = {ask(shared_world) for _ in range(4)}
    actors = people(shared_world, "ann", "abe", "admin", "ann")
    served = race(*[partial(next_task, actor) for actor in actors])
    assert {task.pk for task in served} == ready
    assert next_task(actors[0]) is None


@on_postgresql
def test_next_without_the_guard(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = ask(shared_world), ask(shared_world)

    def serve(actor: Any, task_id: UUID) -> bool:
        """Neither a lock nor a look at whether somebody has it."""
        with unit_of_work() as unit:
            return claims._take(unit, actor, UserTask.objects.get(pk=task_id), Q())

    monkeypatch.setattr(claims, "_serve", serve)
    meeting(monkeypatch, claims, "may_decide")
    ann, abe = people(shared_world, "ann", "abe")
    served = race(partial(next_task, ann), partial(next_task, abe))
    # Both looked at the queue, and both were given the same task.
    assert [task.pk for task in served] == [first, first]


@on_postgresql
def test_next_without_its_lock_gives_nobody_what_another_has(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = {ask(shared_world), ask(shared_world)}
    met, plain = threading.Barrier(2, timeout=60), claims._serve

    def serve(actor: Any, task_id: UUID) -> bool:
        with unit_of_work() as unit:
            return claims._take(unit, actor, UserTask.objects.get(pk=task_id), claims._UNCLAIMED)

    def meet_once(actor: Any, task_id: UUID) -> bool:
        met.wait()
        monkeypatch.setattr(claims, "_serve", plain)
        return serve(actor, task_id)

    monkeypatch.setattr(claims, "_serve", meet_once)
    ann, abe = people(shared_world, "ann", "abe")
    served = race(partial(next_task, ann), partial(next_task, abe))
    assert {task.pk for task in served} == ready


def request(world: World, run: Run, key: str) -> Act:
    actor = world.cast.actor("ann")
    asked = TaskRequest(title="Ship?", key=key)
    return partial(create_task, actor, asked, run=run, agent=world.cast.support)


def test_one_task_for_one_key(shared_world: World) -> None:
    run = Run.objects.select_related("session", "agent").get(pk=shared_world.run())
    for number in range(ROUNDS):
        answers = race(*[request(shared_world, run, f"k{number}") for _ in range(4)])
        assert sorted(created for _, created in answers) == [False, False, False, True]
        assert len({task.pk for task, _ in answers}) == 1
        assert UserTask.objects.filter(key=f"k{number}").count() == 1


@on_postgresql
def test_one_key_without_the_guard(shared_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.objects.select_related("session", "agent").get(pk=shared_world.run())
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'task_key_once'")
        (definition,) = cursor.fetchone()
        cursor.execute("DROP INDEX task_key_once")
    try:
        # Both have looked, and found nothing, when they meet.
        meeting(monkeypatch, creating, "check_agent")
        answers = race(request(shared_world, run, "k"), request(shared_world, run, "k"))
        assert codes(answers) == ["won", "won"]
        assert UserTask.objects.filter(key="k").count() == 2
    finally:
        UserTask.objects.filter(key="k").update(key=None)
        with connection.cursor() as cursor:
            cursor.execute(definition)


@on_postgresql
def test_two_decisions_without_the_guard(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pk = ask(shared_world)
    monkeypatch.setattr(access, "lock_runs", unlocked)
    monkeypatch.setattr(closing, "advance_together", unguarded)
    meeting(monkeypatch, deciding, "check_answer")
    ann, abe = people(shared_world, "ann", "abe")
    answers = race(approval(ann, pk), approval(abe, pk))
    # Both moved the task; that there is one decision was left to the constraint.
    assert codes(answers) == ["IntegrityError", "won"]


@on_postgresql
def test_a_lost_lock_alone_still_leaves_one_decision(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pk = ask(shared_world)
    monkeypatch.setattr(access, "lock_runs", unlocked)
    meeting(monkeypatch, deciding, "check_answer")
    ann, abe = people(shared_world, "ann", "abe")
    assert codes(race(approval(ann, pk), approval(abe, pk))) == ["already_completed", "won"]


def test_two_sweepers_at_one_deadline(
    shared_world: World, move_clock: Callable[[float], None]
) -> None:
    for _ in range(ROUNDS):
        pks = [ask(shared_world, timeout_seconds=60) for _ in range(3)]
        move_clock(61)
        done = race(*[partial(expire, pks)] * 3)
        # Each passed over what another one was at; together they did all of it, once.
        outcomes = [(pk, outcome) for each in done for pk, outcome in each.items()]
        outcomes += expire(pks).items()
        assert sorted(outcomes) == sorted((pk, "timed_out") for pk in pks)
        assert Decision.objects.filter(task__in=pks).count() == 3


@on_postgresql
def test_two_sweepers_without_the_guard(
    shared_world: World,
    move_clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pk = ask(shared_world, timeout_seconds=60)
    move_clock(61)
    monkeypatch.setattr(
        deadlines, "_locked_due", lambda runs: list(UserTask.objects.filter(pk__in=runs))
    )
    monkeypatch.setattr(closing, "advance_together", unguarded)
    meeting(monkeypatch, deadlines, "_by_workspace")
    assert codes(race(partial(expire, [pk]), partial(expire, [pk]))) == ["IntegrityError", "won"]


def test_a_late_decision_without_the_guard(
    shared_world: World,
    move_clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pk = ask(shared_world, timeout_seconds=60)
    (ann,) = people(shared_world, "ann")
    move_clock(61)
    assert codes(race(approval(ann, pk))) == ["deadline_passed"]
    monkeypatch.setattr(access, "check_open", lambda task: None)
    # The check is gone, and the statement itself still refuses.
    assert codes(race(approval(ann, pk))) == ["deadline_passed"]
    beginning = Value(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    monkeypatch.setattr(closing, "DbNow", lambda: beginning)
    assert codes(race(approval(ann, pk))) == ["won"]


def ended_during_a_decision(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ToolCall]:
    """Decide on a call, and end its run after the decision looked and before it moves."""
    call = world.refund(900).ok(201)
    row = ToolCall.objects.select_related("run").get(pk=call["id"])
    ann, admin = people(world, "ann", "admin")
    plain = deciding.check_answer

    def look_then_end(*args: Any) -> Any:
        checked = plain(*args)
        (ended,) = race(partial(end_run, admin, row.run, RunStatus.TERMINATED, LastWords))
        assert isinstance(ended, Run), ended
        return checked

    monkeypatch.setattr(deciding, "check_answer", look_then_end)
    (answer,) = race(approval(ann, UUID(call["task"])))
    row.refresh_from_db()
    return answer, row


@on_postgresql
def test_a_run_that_ends_during_a_decision_without_the_lock(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "lock_runs", unlocked)
    answer, call = ended_during_a_decision(shared_world, monkeypatch)
    assert (answer.code, call.status) == ("already_cancelled", "cancelled")


@on_postgresql
def test_a_run_that_ends_during_a_decision_without_any_guard(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "lock_runs", unlocked)
    monkeypatch.setattr(closing, "advance_together", unguarded)
    answer, _ = ended_during_a_decision(shared_world, monkeypatch)
    assert isinstance(answer, IntegrityError)
