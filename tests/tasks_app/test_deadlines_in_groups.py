"""Many deadlines at once: few statements, all or nothing, and nobody is held up."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts_app.models import AuditEntry
from accounts_app.moves import PartlyMoved
from accounts_app.services.audit import verify
from integrations_app.models import Delivery, OutboxEvent, ToolCall
from integrations_app.services.locks import lock_run
from tasks_app.models import Decision, UserTask
from tasks_app.services import deadlines, sweeping
from tasks_app.services.access import get_task
from tasks_app.services.claims import claim
from tasks_app.services.deadlines import due_tasks, expire
from tasks_app.services.sweeping import sweep
from tests.conftest import World

Move = Callable[[float], None]

on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="One writer at a time"
)


def ask(world: World, **members: object) -> UUID:
    body = {"agent": "support", "title": "Ship?", "timeout_seconds": 60, **members}
    return UUID(world.agent.post("tasks", body).ok(201)["id"])


def refunds(world: World, number: int, **approval: object) -> list[UUID]:
    world.operation(approval={"timeout_seconds": 60, **approval}, effect="idempotent").ok()
    return [UUID(world.refund(900).ok(201)["task"]) for _ in range(number)]


def hook(world: World) -> None:
    body = {"url": f"{world.receiver.url}/ok/hook", "events": ["task.timed_out"], "enabled": True}
    world.admin.put("webhooks/ops", {**body, "allow_private_network": True}).ok(201)


def statements(ids: list[UUID]) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert expire(ids) == dict.fromkeys(ids, "timed_out")
    return len(asked)


def test_thirty_time_outs_take_as_many_statements_as_three(world: World, move_clock: Move) -> None:
    hook(world)
    few, many = [ask(world), *refunds(world, 2)], [ask(world), *refunds(world, 29)]
    move_clock(61)
    assert statements(few) == statements(many)


def test_each_of_a_group_leaves_all_that_one_alone_would(world: World, move_clock: Move) -> None:
    hook(world)
    ids = [ask(world), *refunds(world, 2), ask(world, kind="text")]
    claim(world.cast.actor("ann"), ids[0])
    move_clock(61)
    assert expire(ids) == dict.fromkeys(ids, "timed_out")
    for pk in ids:
        task = UserTask.objects.select_related("tool_call", "run").get(pk=pk)
        assert (task.status, task.timed_out, task.action) == ("completed", True, None)
        assert (task.claimed_by, task.claim_token, task.decided_by) == (None, None, None)
        assert Decision.objects.get(task=task).act == "timed_out"
        assert AuditEntry.objects.filter(target_id=pk, verb="task.timed_out").count() == 1
        event = OutboxEvent.objects.get(subject_id=pk, type="task.timed_out")
        assert event.data["task"] == str(pk)
        assert Delivery.objects.filter(event=event).count() == 1
        assert task.run.status == "running"
        if task.tool_call is not None:
            assert task.tool_call.status == "timed_out"
            finished = {"subject_id": task.tool_call_id, "type": "tool_call.finished"}
            assert OutboxEvent.objects.filter(**finished).count() == 1
    assert list(verify()) == []


def test_what_ends_differently_is_told_apart_and_the_oldest_comes_first(
    world: World, move_clock: Move
) -> None:
    escalation = {"escalate": {"reviewers": {"users": ["abe"]}, "timeout_seconds": 600}}
    order = [
        (ask(world, timeout_seconds=10), "timed_out", None),
        (ask(world, timeout_seconds=20, on_timeout={"action": "reject"}), "timed_out", "reject"),
        (ask(world, timeout_seconds=30, on_timeout=escalation), "escalated", None),
        (ask(world, timeout_seconds=40), "timed_out", None),
        (ask(world, timeout_seconds=50, on_timeout={"action": "approve"}), "timed_out", "approve"),
    ]
    move_clock(61)
    ids = [pk for pk, _, _ in order]
    assert due_tasks(10) == ids
    assert expire(list(reversed(ids))) == {pk: outcome for pk, outcome, _ in order}
    actions = {task.pk: task.action for task in UserTask.objects.filter(pk__in=ids)}
    assert actions == {pk: action for pk, _, action in order}
    verbs = ("task.timed_out", "task.escalated")
    written = AuditEntry.objects.filter(verb__in=verbs).order_by("sequence")
    assert [UUID(entry.target_id) for entry in written] == ids


def test_calls_that_a_time_out_approves_run_each(world: World, move_clock: Move) -> None:
    ids = refunds(world, 3, on_timeout={"action": "approve"})
    move_clock(61)
    assert expire(ids) == dict.fromkeys(ids, "timed_out")
    assert list(ToolCall.objects.values_list("status", flat=True)) == ["queued"] * 3


def test_where_somebody_else_ended_one_of_a_group_nothing_of_it_is_written(
    world: World, move_clock: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [ask(world) for _ in range(3)]
    move_clock(61)
    plain = deadlines._locked_due

    def rival(runs: Any) -> list[UserTask]:
        tasks = plain(runs)
        if len(tasks) > 1:
            UserTask.objects.filter(pk=ids[1]).update(due_at=None)
        return tasks

    monkeypatch.setattr(deadlines, "_locked_due", rival)
    before = AuditEntry.objects.count()
    with pytest.raises(PartlyMoved):
        expire(ids)
    assert (Decision.objects.count(), AuditEntry.objects.count()) == (0, before)
    assert UserTask.objects.pending().count() == 3


def test_a_group_that_fails_is_tried_one_by_one(
    world: World, move_clock: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [ask(world) for _ in range(3)]
    UserTask.objects.filter(pk=ids[1]).update(on_timeout={"action": "never offered"})
    move_clock(61)
    done = sweep(execute_here=False)
    assert (done["tasks_timed_out"], done["failed"]) == (2, 1)
    assert set(UserTask.objects.pending().values_list("pk", flat=True)) == {ids[1]}
    assert Decision.objects.count() == 2


def test_groups_go_on_behind_what_cannot_be_moved(
    world: World, move_clock: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 2)
    monkeypatch.setattr(sweeping, "GROUP", 2)
    ids = [ask(world, timeout_seconds=10 + number) for number in range(7)]
    UserTask.objects.filter(pk__in=ids[:3]).update(on_timeout={"action": "never offered"})
    move_clock(61)
    done = sweep(execute_here=False)
    assert (done["tasks_timed_out"], done["failed"]) == (4, 3)


@on_postgresql
def test_a_run_that_somebody_is_at_holds_up_nothing_and_has_its_turn_in_the_same_sweep(
    shared_world: World, move_clock: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [ask(shared_world) for _ in range(3)]
    run_id = UserTask.objects.get(pk=ids[0]).run_id
    locked, over = threading.Event(), threading.Event()

    def work() -> None:
        try:
            with transaction.atomic():
                lock_run(run_id)
                locked.set()
                over.wait(60)
        finally:
            connection.close()

    somebody = threading.Thread(target=work)
    somebody.start()
    assert locked.wait(60)
    move_clock(61)
    pending: list[set[UUID]] = []

    def between_groups(point: str) -> None:
        if point == "sweep.mid_batch" and not over.is_set():
            pending.append(set(UserTask.objects.pending().values_list("pk", flat=True)))
            over.set()
            somebody.join()

    monkeypatch.setattr(sweeping, "fault", between_groups)
    done = sweep(execute_here=False)
    assert pending == [{ids[0]}]
    assert (done["tasks_timed_out"], done["failed"]) == (3, 0)
    assert get_task(shared_world.cast.actor("ann"), ids[0]).timed_out
