"""What got past every other way, and is found by the sweep."""

import datetime as dt
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts_app.clock import db_now
from accounts_app.models import Membership
from integrations_app.models import Operation, Run, ToolCall
from integrations_app.services.execution import execute
from tasks_app.models import SweepRun, UserTask
from tasks_app.overdue import overdue
from tasks_app.services import deadlines, sweeping
from tasks_app.services.sweeping import sweep
from tests.api_client import Api
from tests.conftest import World

Move = Callable[[float], None]


def swept() -> dict[str, int]:
    return {name: number for name, number in sweep(execute_here=True).items() if number}


def test_a_healthy_world_gives_the_sweep_nothing_to_do(world: World) -> None:
    world.refund(900).ok(201)
    world.agent.post("tasks", {"agent": "support", "title": "Ship?"}).ok(201)
    assert swept() == {}
    assert SweepRun.objects.count() == 0


def test_a_pending_task_of_an_ended_run_is_dropped(world: World) -> None:
    run = world.run()
    call = world.refund(900, run).ok(201)
    body = {"run": run, "title": "Later", "survive_parent_close": True}
    survivor = world.agent.post("tasks", body).ok(201)
    Run.objects.filter(pk=run).update(status="completed")
    assert swept() == {"orphaned_tasks_dropped": 1, "stranded_calls_dropped": 1}
    task = world.agent.get(f"tasks/{call['task']}")
    assert (task["status"], task["outcome"]["cancelled_reason"]) == ("cancelled", "run_ended")
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "cancelled"
    assert world.agent.get(f"tasks/{survivor['id']}")["status"] == "pending"
    assert swept() == {}


def test_a_queued_call_of_an_ended_run_is_not_sent(world: World) -> None:
    run = world.run()
    call = world.refund(40, run).ok(201)
    Run.objects.filter(pk=run).update(status="terminated")
    done = sweep(execute_here=False)
    assert done["stranded_calls_dropped"] == 1
    assert execute(UUID(call["id"])).status == ""
    assert world.receiver.hits == []


def test_an_operation_that_changed_unseen_makes_its_tasks_stale(world: World) -> None:
    call = world.refund(900).ok(201)
    Operation.objects.filter(slug="refund").update(path="/ok/elsewhere", version=7)
    assert swept() == {"outdated_operations_refreshed": 1}
    task = world.decider.get(f"tasks/{call['task']}")
    assert (task["revision"], task["stale"]) == (2, {"changed": ["version"]})
    assert ToolCall.objects.get(pk=call["id"]).operation_version == 7
    assert swept() == {}


def test_an_operation_that_was_disabled_unseen_drops_its_tasks(world: World) -> None:
    call = world.refund(900).ok(201)
    Operation.objects.filter(slug="refund").update(enabled=False)
    assert swept() == {"outdated_operations_refreshed": 1}
    task = world.decider.get(f"tasks/{call['task']}")
    assert task["outcome"]["cancelled_reason"] == "operation_changed"
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "cancelled"


def test_a_call_that_waits_for_nobody_is_asked_about_again(world: World) -> None:
    call = world.refund(900).ok(201)
    UserTask.objects.filter(pk=call["task"]).update(status="cancelled")
    assert swept() == {"unasked_calls_asked": 1}
    task = world.agent.get(f"tool-calls/{call['id']}")["task"]
    assert task != call["task"]
    world.decider.post(f"tasks/{task}/approve").ok()
    assert execute(UUID(call["id"])).status == "succeeded"


def test_a_received_call_of_an_ended_run_is_dropped(world: World) -> None:
    call = world.refund(900).ok(201)
    UserTask.objects.filter(pk=call["task"]).update(status="cancelled")
    ToolCall.objects.filter(pk=call["id"]).update(status="received")
    Run.objects.filter(pk=call["run"]).update(status="completed")
    assert swept() == {"stranded_calls_dropped": 1}
    shown = world.agent.get(f"tool-calls/{call['id']}")
    assert (shown["status"], shown["error"]["code"]) == ("cancelled", "run_ended")


def test_a_review_that_was_given_a_deadline_times_out_with_its_call(world: World) -> None:
    world.rule().ok(201)
    call = world.refund(6000).ok(201)
    assert call["status"] == "awaiting_review"
    UserTask.objects.filter(pk=call["task"]).update(due_at=db_now())
    assert swept() == {"tasks_timed_out": 1}
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "timed_out"
    assert world.receiver.hits == []


@pytest.mark.parametrize(("waits", "wrong"), [(True, "running"), (False, "waiting")])
def test_a_run_that_says_the_wrong_thing_is_settled(world: World, waits: bool, wrong: str) -> None:
    run = world.run()
    if waits:
        world.agent.post("tasks", {"run": run, "title": "Ship?"}).ok(201)
    Run.objects.filter(pk=run).update(status=wrong)
    assert swept() == {"runs_settled": 1}
    expected = "waiting" if waits else "running"
    assert world.agent.get(f"runs/{run}")["status"] == expected


def test_nobody_left_is_flagged_and_lifted(world: World) -> None:
    body = {"agent": "support", "title": "Ship?", "reviewers": {"users": ["ann"]}}
    task = world.agent.post("tasks", body).ok(201)
    Membership.objects.filter(user__username="ann").update(is_active=False)
    assert swept() == {"routes_changed": 1}
    assert UserTask.objects.get(pk=task["id"]).unroutable is True
    assert swept() == {}
    Membership.objects.filter(user__username="ann").update(is_active=True)
    assert swept() == {"routes_changed": 1}
    assert UserTask.objects.get(pk=task["id"]).unroutable is False


def test_the_last_operator_cannot_decide_their_own(world: World) -> None:
    world.agent.post("tasks", {"run": world.run(participant="ann"), "title": "Ship?"}).ok(201)
    Membership.objects.filter(user__username__in=["abe", "admin"]).update(is_active=False)
    assert swept() == {"routes_changed": 1}


def test_each_sweep_that_did_something_leaves_a_row(world: World, move_clock: Move) -> None:
    world.agent.post("tasks", {"agent": "support", "title": "T", "timeout_seconds": 60}).ok(201)
    move_clock(61)
    sweep(execute_here=False)
    sweep(execute_here=False)
    (row,) = SweepRun.objects.all()
    assert row.done == {"tasks_timed_out": 1}
    assert row.started_at <= row.finished_at


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_one_row_that_fails_holds_up_no_other(
    world: World, move_clock: Move, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    ids = [
        world.agent.post("tasks", {"agent": "support", "title": "T", "timeout_seconds": n}).ok(201)[
            "id"
        ]
        for n in (60, 70, 80)
    ]
    move_clock(90)

    def expire(task_ids: Sequence[UUID]) -> dict[UUID, str]:
        if UUID(ids[0]) in task_ids:
            raise RuntimeError("broken row")
        return deadlines.expire(task_ids)

    monkeypatch.setattr(sweeping, "expire", expire)
    monkeypatch.setattr(sweeping, "BATCH", batch)
    done = sweep(execute_here=False)
    assert (done["tasks_timed_out"], done["failed"]) == (2, 1)
    statuses = [world.agent.get(f"tasks/{pk}")["status"] for pk in ids]
    assert statuses == ["pending", "completed", "completed"]


def test_the_rarer_checks_have_their_turn_once_a_minute(world: World, move_clock: Move) -> None:
    assert "runs_settled" in sweep(execute_here=False)
    assert "runs_settled" not in sweep(execute_here=False)
    move_clock(61)
    assert "runs_settled" in sweep(execute_here=False)


def test_the_auditor_names_what_is_late(world: World, move_clock: Move) -> None:
    assert set(overdue().values()) == {0.0}
    world.agent.post("tasks", {"agent": "support", "title": "T", "timeout_seconds": 60}).ok(201)
    world.refund(40).ok(201)
    move_clock(60 + 301)
    late = overdue()
    assert 301 <= late["deadlines"] < 310
    assert late["queued_calls"] > 301
    shown = Api().get("/readyz")
    assert shown.status == 503
    assert {"deadlines", "queued_calls"} <= shown["checks"]["overdue"]["late"].keys()
    assert 'assent_overdue_seconds{work="deadlines"}' in Api().get("/metrics").text
    sweep(execute_here=True)
    assert Api().get("/readyz")["checks"]["overdue"] == {"ok": True, "late": {}}


def test_an_idle_sweep_asks_little(world: World) -> None:
    sweep(execute_here=False)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        sweep(execute_here=False)
    assert len(asked) <= 30, len(asked)
    assert dt.timedelta(seconds=60) == sweeping.CHECK_EVERY


@pytest.mark.parametrize(("path", "statements"), [("tasks/{task}/result", 2), ("tasks/{task}", 2)])
def test_who_waits_reads_a_task_once(world: World, path: str, statements: int) -> None:
    """The key and the task; a column that is shown and not read would be one more."""
    body = {"run": world.run(), "title": "Ship it?", "metadata": {"order": 1}}
    task = world.agent.post("tasks", body).ok(201)
    decided = world.agent.post("tasks", {"run": world.run(), "title": "Again?"}).ok(201)
    world.decider.post(f"tasks/{decided['id']}/approve", {}).ok()
    for each in (task, decided):
        with CaptureQueriesContext(connection) as made:
            world.agent.get(path.format(task=each["id"])).ok()
        read = [query["sql"] for query in made if query["sql"].startswith("SELECT")]
        assert len(read) == statements, read
