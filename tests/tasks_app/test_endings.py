"""Runs and sessions that end, and all that ends with them (promise 7)."""

from uuid import UUID

import pytest

from accounts_app.models import User
from integrations_app.models import OutboxEvent
from integrations_app.services.execution import execute
from tasks_app.models import Decision, UserTask
from tasks_app.services.call_tasks import withdraw_task
from tasks_app.services.drafts import save_draft
from tasks_app.services.sweeping import sweep
from tests.api_client import Api
from tests.conftest import World


def ended(world: World, call: object) -> tuple[str, str]:
    """The reason of the call's task, and the call's status."""
    shown = world.agent.get(f"tool-calls/{call}").ok()
    task = world.decider.get(f"tasks/{shown['task']}").ok()
    assert task["status"] == "cancelled"
    return task["outcome"]["cancelled_reason"], shown["status"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("complete", {"output": {"a": 1}}, "completed"),
        ("fail", {"error": "boom"}, "failed"),
        ("terminate", {"reason": "stop"}, "terminated"),
    ],
)
def test_a_run_that_ends_drops_what_waits(
    world: World, path: str, body: object, status: str
) -> None:
    run = world.run()
    call = world.refund(900, run).ok(201)
    queued = world.refund(40, run).ok(201)
    shown = world.agent.post(f"runs/{run}/{path}", body).ok()
    assert shown["status"] == status
    assert shown["waiting_on"] == {"tasks": [], "tool_calls": []}
    assert ended(world, call["id"]) == ("run_ended", "cancelled")
    assert world.agent.get(f"tool-calls/{queued['id']}")["status"] == "cancelled"
    assert execute(UUID(queued["id"])).status == ""
    assert world.receiver.hits == []
    late = world.decider.post(f"tasks/{call['task']}/approve").refused(409, "already_cancelled")
    assert late["task"]["outcome"]["cancelled_reason"] == "run_ended"
    world.agent.post(f"runs/{run}/{path}", body).refused(409, "run_ended")
    world.refund(40, run).refused(409, "run_ended")


def test_child_runs_go_with_their_parent(world: World) -> None:
    session = world.agent.post("sessions", {"agent": "support"}).ok(201)["id"]
    parent = world.agent.post("runs", {"session": session}).ok(201)["id"]
    child = world.agent.post("runs", {"session": session, "parent_run": parent}).ok(201)["id"]
    grandchild = world.agent.post("runs", {"session": session, "parent_run": child}).ok(201)["id"]
    call = world.refund(900, grandchild).ok(201)
    world.agent.post(f"runs/{parent}/complete").ok()
    assert world.agent.get(f"runs/{child}")["status"] == "terminated"
    assert world.agent.get(f"runs/{grandchild}")["status"] == "terminated"
    assert ended(world, call["id"]) == ("parent_ended", "cancelled")


@pytest.mark.parametrize(
    ("path", "body", "status", "reason", "run_status"),
    [
        ("end", None, "ended", "session_ended", "completed"),
        ("terminate", {"reason": "enough"}, "terminated", "session_terminated", "terminated"),
    ],
)
def test_a_session_that_ends_takes_its_runs_along(
    world: World, path: str, body: object, status: str, reason: str, run_status: str
) -> None:
    session = world.agent.post("sessions", {"agent": "support"}).ok(201)["id"]
    run = world.agent.post("runs", {"session": session}).ok(201)["id"]
    call = world.refund(900, run).ok(201)
    assert world.agent.post(f"sessions/{session}/{path}", body).ok()["status"] == status
    assert world.agent.get(f"runs/{run}")["status"] == run_status
    assert ended(world, call["id"]) == (reason, "cancelled")
    world.agent.post(f"sessions/{session}/{path}", body).refused(409, "session_ended")
    world.agent.post("runs", {"session": session}).refused(409, "session_ended")


def test_a_task_may_survive_its_run(world: World) -> None:
    run = world.run()
    body = {"run": run, "title": "Later", "survive_parent_close": True}
    task = world.agent.post("tasks", body).ok(201)
    world.agent.post(f"runs/{run}/complete").ok()
    assert world.decider.post(f"tasks/{task['id']}/approve").ok()["status"] == "completed"


def test_a_call_can_be_cancelled_until_it_is_sent(world: World) -> None:
    call = world.refund(900).ok(201)
    done = world.agent.post(f"tool-calls/{call['id']}/cancel", {"reason": "changed my mind"}).ok()
    assert done["status"] == "cancelled"
    assert ended(world, call["id"]) == ("withdrawn", "cancelled")
    world.agent.post(f"tool-calls/{call['id']}/cancel").refused(409, "already_finished")


def test_withdrawing_the_task_cancels_its_call(world: World) -> None:
    call = world.refund(900).ok(201)
    task = world.agent.post(f"tasks/{call['task']}/cancel", {"reason": "no"}).ok()
    assert (task["outcome"]["cancelled_reason"], task["outcome"]["comment"]) == ("withdrawn", "no")
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "cancelled"
    world.agent.post(f"tasks/{call['task']}/cancel").refused(409, "already_cancelled")


def test_what_is_told_of_a_withdrawal_is_the_task_as_it_was_then(world: World) -> None:
    ann = world.cast.actor("ann")
    made = world.agent.post("tasks", {"agent": "support", "title": "Ship?", "draft": "v0"}).ok(201)
    read_before = UserTask.objects.get(pk=made["id"])
    save_draft(ann, read_before.pk, 1, lambda: "v1")
    withdraw_task(ann, read_before, lambda: "Not needed.")
    event = OutboxEvent.objects.get(type="task.cancelled", subject_id=read_before.pk)
    assert event.data["revision"] == 2
    assert Decision.objects.get(task=read_before).revision == 2


@pytest.mark.parametrize("owner", ["ann", None])
def test_a_session_in_which_nothing_happens_stays_until_somebody_ends_it(
    world: World, owner: str | None
) -> None:
    """Whoever owns the key that opened it: an agent may think for as long as it likes."""
    answers_for = User.objects.get(username=owner) if owner else None
    agent = Api(world.cast.key("runs,read", name="idle", owner=answers_for))
    session = agent.post("sessions", {"agent": "support"}).ok(201)
    run = agent.post("runs", {"session": session["id"]}).ok(201)
    world.refund(7, run["id"]).ok(201)
    for _ in range(2):
        sweep(execute_here=True)
    assert agent.get(f"sessions/{session['id']}").ok()["status"] == "active"
    assert agent.get(f"runs/{run['id']}").ok()["status"] not in ("completed", "terminated")
