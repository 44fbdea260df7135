"""Deadlines: escalation to others, reminders before, and downtime caught up in order."""

import datetime as dt
from collections.abc import Callable
from uuid import UUID

import pytest

from accounts_app.models import AuditEntry
from integrations_app.models import OutboxEvent
from tasks_app.models import UserTask
from tasks_app.services.deadlines import due_tasks
from tasks_app.services.sweeping import sweep
from tests.api_client import Answer
from tests.conftest import World

Move = Callable[[float], None]


def ask(world: World, **members: object) -> Answer:
    return world.agent.post("tasks", {"agent": "support", "title": "Ship?", **members}).ok(201)


def escalate(to: str, seconds: float, **more: object) -> dict[str, object]:
    return {"escalate": {"reviewers": {"users": [to]}, "timeout_seconds": seconds, **more}}


def row(task: Answer) -> UserTask:
    return UserTask.objects.get(pk=task["id"])


def swept() -> tuple[int, int]:
    done = sweep(execute_here=False)
    return done["tasks_escalated"], done["tasks_timed_out"]


def seen_by(world: World, name: str, task: Answer) -> bool:
    visible = UserTask.objects.visible_to(world.cast.actor(name))
    return bool(visible.filter(pk=task["id"]).exists())


def test_others_are_asked_when_nobody_decides(world: World, move_clock: Move) -> None:
    task = ask(
        world,
        reviewers={"users": ["ann"]},
        timeout_seconds=60,
        on_timeout=escalate("abe", 120),
    )
    assert task["on_timeout"]["escalate"]["timeout_seconds"] == 120
    assert not seen_by(world, "abe", task)
    move_clock(61)
    world.decider.post(f"tasks/{task['id']}/approve").refused(409, "deadline_passed")
    assert swept() == (1, 0)
    assert (row(task).status, row(task).escalation_level) == ("pending", 1)
    assert seen_by(world, "abe", task)
    assert seen_by(world, "ann", task)
    assert swept() == (0, 0)
    assert world.decider.post(f"tasks/{task['id']}/approve").ok()["status"] == "completed"
    move_clock(200)
    assert swept() == (0, 0)


def test_after_the_last_level_the_task_times_out(world: World, move_clock: Move) -> None:
    second = escalate("abe", 60, on_timeout={"action": "reject"})
    task = ask(world, timeout_seconds=60, on_timeout=escalate("ann", 60, on_timeout=second))
    for expected in ((1, 0), (1, 0), (0, 1)):
        move_clock(61)
        assert swept() == expected
    outcome = world.agent.get(f"tasks/{task['id']}")["outcome"]
    assert (outcome["timed_out"], outcome["action"]) == (True, "reject")
    assert outcome["decided_by"]["type"] == "system"
    assert OutboxEvent.objects.filter(subject_id=task["id"]).count() == 2
    assert AuditEntry.objects.filter(target_id=task["id"], verb="task.escalated").count() == 2


def nested(levels: int) -> object:
    rule: object = "return"
    for _ in range(levels):
        rule = escalate("ann", 60, on_timeout=rule)
    return rule


def test_five_levels_at_most(world: World) -> None:
    ask(world, timeout_seconds=60, on_timeout=nested(5))
    body = {"agent": "support", "title": "?", "timeout_seconds": 60, "on_timeout": nested(6)}
    world.agent.post("tasks", body).refused(422, "too_long")
    world.operation(approval={"timeout_seconds": 60, "on_timeout": nested(6)}).refused(
        422, "too_long"
    )


@pytest.mark.parametrize(
    ("rule", "code", "field"),
    [
        ({"escalate": {}}, "required", "on_timeout.escalate.reviewers"),
        ({"escalate": 1}, "invalid_value", "on_timeout.escalate"),
        (
            {"escalate": {"reviewers": {"users": ["ann"]}}},
            "required",
            "on_timeout.escalate.timeout_seconds",
        ),
        (escalate("nobody", 60), "not_found", "on_timeout.escalate.reviewers.users.0"),
        (escalate("ann", 0), "invalid_value", "on_timeout.escalate.timeout_seconds"),
        (escalate("ann", 60, more=1), "unknown_field", "on_timeout.escalate.more"),
        (
            escalate("ann", 60, on_timeout={"action": "ship"}),
            "unknown_action",
            "on_timeout.escalate.on_timeout.action",
        ),
        ("escalate", "invalid_value", "on_timeout"),
    ],
)
def test_escalations_that_make_no_sense(world: World, rule: object, code: str, field: str) -> None:
    body = {"agent": "support", "title": "?", "timeout_seconds": 60, "on_timeout": rule}
    world.agent.post("tasks", body).refused(422, code, field)
    world.operation(approval={"timeout_seconds": 60, "on_timeout": rule}).refused(
        422, code, f"approval.{field}"
    )
    assert UserTask.objects.count() == 0


def test_a_once_operation_never_proceeds_behind_an_escalation(world: World) -> None:
    rule = escalate("ann", 60, on_timeout={"action": "approve"})
    policy = {"timeout_seconds": 60, "on_timeout": rule}
    world.operation(approval=policy).refused(422, "invalid_value", "approval.on_timeout")
    world.operation("send_receipt", requires_approval=True, approval=policy).ok()


def test_a_call_escalates_and_times_out(world: World, move_clock: Move) -> None:
    policy = {
        "reviewers": {"users": ["ann"]},
        "timeout_seconds": 60,
        "on_timeout": escalate("abe", 60),
    }
    world.operation(approval=policy).ok()
    call = world.refund(900).ok(201)
    task = world.decider.get(f"tasks/{call['task']}").ok()
    move_clock(61)
    assert swept() == (1, 0)
    assert seen_by(world, "abe", task)
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "awaiting_approval"
    move_clock(61)
    assert swept() == (0, 1)
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "timed_out"


def test_reminders_come_once_each(world: World, move_clock: Move) -> None:
    task = ask(world, timeout_seconds=600, remind_before_seconds=[60, 300])
    assert sweep(execute_here=False)["reminders_given"] == 0
    move_clock(301)
    assert sweep(execute_here=False)["reminders_given"] == 1
    assert sweep(execute_here=False)["reminders_given"] == 0
    move_clock(240)
    assert sweep(execute_here=False)["reminders_given"] == 1
    assert (len(row(task).reminded), row(task).next_reminder_at) == (2, None)
    assert AuditEntry.objects.filter(verb="task.reminded").count() == 2


def test_missed_reminders_are_given_as_one(world: World, move_clock: Move) -> None:
    ask(world, timeout_seconds=600, remind_before_seconds=[60, 120, 300])
    move_clock(500)
    assert sweep(execute_here=False)["reminders_given"] == 1
    move_clock(41)
    assert sweep(execute_here=False)["reminders_given"] == 1


def test_more_time_moves_the_reminders(world: World, move_clock: Move) -> None:
    task = ask(world, timeout_seconds=600, remind_before_seconds=[300])
    world.decider.post(f"tasks/{task['id']}/extend", {"timeout_seconds": 3600}).ok()
    move_clock(400)
    assert sweep(execute_here=False)["reminders_given"] == 0
    assert row(task).next_reminder_at == row(task).due_at - dt.timedelta(seconds=300)


def test_a_decided_task_reminds_nobody(world: World, move_clock: Move) -> None:
    task = ask(world, timeout_seconds=600, remind_before_seconds=[300])
    world.decider.post(f"tasks/{task['id']}/approve").ok()
    assert row(task).next_reminder_at is None
    move_clock(400)
    assert sweep(execute_here=False)["reminders_given"] == 0


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"remind_before_seconds": [60]}, "remind_before_seconds"),
        ({"timeout_seconds": 60, "remind_before_seconds": [60]}, "remind_before_seconds.0"),
        ({"timeout_seconds": 60, "remind_before_seconds": 30}, "remind_before_seconds"),
        ({"timeout_seconds": 60, "remind_before_seconds": ["30"]}, "remind_before_seconds.0"),
        ({"timeout_seconds": 60, "remind_before_seconds": [0]}, "remind_before_seconds.0"),
    ],
)
def test_reminders_that_make_no_sense(world: World, members: dict[str, object], field: str) -> None:
    body = {"agent": "support", "title": "?", **members}
    world.agent.post("tasks", body).refused(422, "invalid_value", field)


def test_downtime_is_caught_up_oldest_first(world: World, move_clock: Move) -> None:
    run = world.run()
    late = [
        world.agent.post("tasks", {"run": run, "title": "T", "timeout_seconds": seconds}).ok(201)
        for seconds in (300, 60, 180)
    ]
    move_clock(86_400)
    order = [UUID(late[n]["id"]) for n in (1, 2, 0)]
    assert due_tasks(10) == order
    assert swept() == (0, 3)
    events = OutboxEvent.objects.filter(type="task.timed_out").order_by("created_at", "pk")
    assert [event.subject_id for event in events] == order
    assert swept() == (0, 0)
