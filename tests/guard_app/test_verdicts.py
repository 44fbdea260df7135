"""A call's way under the guard: paused, decided, blocked, alerted, or its session ended."""

from typing import Any

import pytest

from accounts_app.errors import Forbidden, NotFound
from guard_app.models import Detection, Incident, LateScreening
from integrations_app.models import Clearance, ToolCall
from integrations_app.services.execution import execute
from tasks_app.kinds import Answer
from tasks_app.models import UserTask
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.sweeping import sweep
from tests.conftest import World
from tests.guard_app.test_screening import rule, sub_run


def suspicious(world: World, effect: str, slug: str = "", **members: Any) -> None:
    """A rule that hits refunds of the charge `odd`."""
    parameters = {"when": "args.charge == 'odd'"}
    applies = {"operations": ["payments.refund"]}
    rule(
        world,
        "condition",
        slug,
        parameters=parameters,
        effect=effect,
        applies_to=applies,
        **members,
    )


def refund(world: World, amount: float = 50, run: str | None = None, charge: str = "odd") -> Any:
    arguments = {"charge": charge, "amount": amount}
    return world.refund(amount, run, arguments=arguments).ok(201)


def say(world: World, who: str, task: str, action: str, comment: str | None = None) -> UserTask:
    row = UserTask.objects.get(pk=task)
    answer = Answer(action=action, comment=comment)
    return decide(world.cast.actor(who), row.pk, row.revision, lambda: Decide(answer))


def status(world: World, call: Any) -> str:
    return str(world.agent.get(f"tool-calls/{call['id']}")["status"])


def test_a_paused_call_asks_an_analyst_and_runs_when_approved(world: World) -> None:
    suspicious(world, "review")
    call = refund(world)
    assert call["status"] == "awaiting_review"
    task = world.agent.get(f"tasks/{call['task']}").ok()
    assert (task["kind"], task["status"]) == ("anomaly_review", "pending")
    assert task["incident"] == call["incident"] is not None
    assert [action["name"] for action in task["actions"]] == ["approve", "reject"]
    assert world.agent.get(f"runs/{call['run']}")["status"] == "waiting"
    say(world, "gus", call["task"], "approve")
    assert status(world, call) == "queued"
    assert execute(ToolCall.objects.get().pk).status == "succeeded"
    assert len(world.receiver.hits) == 1


def test_what_changed_after_an_analyst_let_it_through_is_looked_at_again(world: World) -> None:
    """Also where the operation needs no approval by itself, before the change or after it."""
    suspicious(world, "review")
    call = refund(world)
    say(world, "gus", call["task"], "approve")
    world.operation(path="/ok/elsewhere", requires_approval=False, approval=None).ok()
    assert execute(ToolCall.objects.get().pk).status == "awaiting_approval"
    assert world.receiver.hits == []
    again = world.agent.get(f"tool-calls/{call['id']}")["task"]
    world.decider.post(f"tasks/{again}/approve", {"revision": 1}).ok()
    assert execute(ToolCall.objects.get().pk).status == "succeeded"
    assert [hit.path for hit in world.receiver.hits] == ["/ok/elsewhere"]


def test_a_paused_call_that_needs_approval_asks_twice(world: World) -> None:
    suspicious(world, "review")
    call = refund(world, 900)
    assert call["status"] == "awaiting_review"
    say(world, "gus", call["task"], "approve")
    assert status(world, call) == "awaiting_approval"
    assert not Clearance.objects.exists()
    approval = world.agent.get(f"tool-calls/{call['id']}")["task"]
    assert approval != call["task"]
    world.decider.post(f"tasks/{approval}/approve").ok()
    assert status(world, call) == "queued"


def test_a_rejected_review_stops_the_call_and_says_why(world: World) -> None:
    suspicious(world, "review")
    call = refund(world)
    say(world, "admin", call["task"], "reject", "not our customer")
    shown = world.agent.get(f"tool-calls/{call['id']}")
    assert (shown["status"], shown["error"]["detail"]) == ("rejected", "not our customer")
    assert world.agent.get(f"runs/{call['run']}")["status"] == "running"
    sweep(execute_here=True)
    assert world.receiver.hits == []


@pytest.mark.parametrize("effect", ["review", "alert"])
@pytest.mark.parametrize("verb", ["complete", "approve", "reject"])
def test_no_key_decides_an_anomaly(world: World, effect: str, verb: str) -> None:
    suspicious(world, effect)
    refund(world)
    task = UserTask.objects.get()
    body = {"action": "approve"} if verb == "complete" else {}
    world.decider.post(f"tasks/{task.pk}/{verb}", body).refused(403, "dashboard_only")
    items = {"items": [{"task": str(task.pk), "action": "approve", "revision": 1}]}
    bulk = world.decider.post("tasks/bulk-complete", items).ok()
    assert (bulk["results"][0]["status"], bulk["results"][0]["code"]) == (403, "dashboard_only")
    task.refresh_from_db()
    assert task.status == "pending"


@pytest.mark.parametrize("who", ["ann", "abe", "bob", "ida", "aud"])
def test_only_analysts_and_workspace_admins_decide(world: World, who: str) -> None:
    suspicious(world, "review")
    call = refund(world)
    with pytest.raises((Forbidden, NotFound)):
        say(world, who, call["task"], "approve")
    assert status(world, call) == "awaiting_review"
    visible = UserTask.objects.visible_to(world.cast.actor("ann"))
    assert not visible.exists()
    assert UserTask.objects.visible_to(world.cast.actor("gus")).count() == 1


def test_whoever_started_the_session_cannot_review_it(world: World) -> None:
    suspicious(world, "review")
    call = refund(world, run=world.run(participant="gus@example.com"))
    with pytest.raises(Forbidden) as refusal:
        say(world, "gus", call["task"], "approve")
    assert refusal.value.code == "self_review_forbidden"
    assert status(world, call) == "awaiting_review"


def test_a_participant_is_not_asked_about_the_agent(world: World) -> None:
    suspicious(world, "review")
    refund(world, run=world.run(participant="ann"))
    assert not UserTask.objects.visible_to(world.cast.actor("ann")).exists()


def test_a_blocked_call_asks_nobody(world: World) -> None:
    suspicious(world, "review", "pause")
    suspicious(world, "block", "stop")
    call = refund(world, 900)
    assert (call["status"], call["task"]) == ("blocked", None)
    assert call["error"]["code"] == "blocked"
    assert not UserTask.objects.exists()
    found = Detection.objects.order_by("rule__slug").values_list("rule__slug", "decided")
    assert list(found) == [("pause", False), ("stop", True)]
    assert world.agent.get(f"runs/{call['run']}")["status"] == "running"


def test_an_alert_never_blocks(world: World) -> None:
    suspicious(world, "alert")
    call = refund(world, 900)
    assert call["status"] == "awaiting_approval"
    alert = UserTask.objects.get(kind="anomaly_alert")
    assert str(alert.incident_id) == call["incident"]
    assert str(alert.pk) != call["task"]
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    assert status(world, call) == "queued"
    assert world.agent.get(f"runs/{call['run']}")["waiting_on"]["tasks"] == []
    say(world, "gus", str(alert.pk), "acknowledge")
    assert status(world, call) == "queued"
    assert execute(ToolCall.objects.get().pk).status == "succeeded"


def test_alerts_of_a_run_are_folded_and_stay_when_it_ends(world: World) -> None:
    suspicious(world, "alert")
    run = world.run()
    for amount in (1, 2, 3):
        assert refund(world, amount, run)["status"] == "queued"
    assert UserTask.objects.count() == 1
    assert Incident.objects.get().count == 3
    world.agent.post(f"runs/{run}/complete").ok()
    assert UserTask.objects.get().status == "pending"
    refund(world, 4)
    assert UserTask.objects.count() == 2


def test_an_agent_cannot_withdraw_an_alert(world: World) -> None:
    suspicious(world, "alert")
    call = refund(world, 900)
    alert = UserTask.objects.get(kind="anomaly_alert")
    world.agent.post(f"tasks/{alert.pk}/cancel", {"reason": "x"}).refused(403, "dashboard_only")
    assert status(world, call) == "awaiting_approval"
    assert UserTask.objects.pending().count() == 2


def test_a_paused_call_can_be_withdrawn(world: World) -> None:
    suspicious(world, "review")
    call = refund(world)
    world.agent.post(f"tool-calls/{call['id']}/cancel", {"reason": "no"}).ok()
    assert UserTask.objects.get().status == "cancelled"
    assert Incident.objects.get().status == "open"


def test_the_session_is_terminated_with_everything_in_it(world: World) -> None:
    suspicious(world, "review", "pause")
    suspicious(world, "terminate_session", "kill")
    run = world.run()
    waiting = refund(world, 900, run, "fine")
    queued = refund(world, 10, run, "fine")
    child = sub_run(world, run)
    call = refund(world, 20, child)
    assert call["status"] == "blocked"
    session = world.agent.get(f"runs/{run}")["session"]
    assert world.agent.get(f"sessions/{session}")["status"] == "terminated"
    assert (status(world, waiting), status(world, queued)) == ("cancelled", "cancelled")
    task = UserTask.objects.get()
    assert (task.status, task.cancelled_reason) == ("cancelled", "session_terminated")
    for each in (run, child):
        assert world.agent.get(f"runs/{each}")["status"] == "terminated"
    world.refund(1, run).refused(409, "run_ended")


def test_an_edit_that_the_guard_pauses_goes_to_an_analyst_after_the_approval(world: World) -> None:
    world.operation(approval={"when": "args.amount > 100", "allow_edit": True}).ok(200)
    suspicious(world, "review")
    call = refund(world, 900, charge="fine")
    draft = {"charge": "odd", "amount": 900}
    body = {"action": "approve", "draft": draft, "revision": 1}
    world.decider.post(f"tasks/{call['task']}/complete", body).ok()
    shown = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert (shown["status"], shown["arguments"]) == ("awaiting_review", draft)
    assert shown["incident"] is not None
    say(world, "gus", shown["task"], "approve")
    assert status(world, call) == "queued"


def test_an_edit_that_the_guard_blocks_is_refused(world: World) -> None:
    world.operation(approval={"when": "args.amount > 100", "allow_edit": True}).ok(200)
    suspicious(world, "block")
    call = refund(world, 900, charge="fine")
    body = {"action": "approve", "draft": {"charge": "odd", "amount": 900}, "revision": 1}
    world.decider.post(f"tasks/{call['task']}/complete", body).refused(422, "blocked", "draft")
    assert status(world, call) == "awaiting_approval"


def test_a_slow_rule_looks_after_the_fact_and_alerts(world: World) -> None:
    suspicious(world, "alert", asynchronous=True)
    call = refund(world)
    assert (call["status"], call["incident"]) == ("queued", None)
    assert LateScreening.objects.count() == 1
    assert sweep(execute_here=True)["screened_late"] == 1
    assert not LateScreening.objects.exists()
    assert UserTask.objects.get().kind == "anomaly_alert"
    assert Incident.objects.get().count == 1
    assert sweep(execute_here=True)["screened_late"] == 0


def test_a_rule_that_cannot_be_evaluated_pauses_the_call(world: World) -> None:
    rule(world, "condition", parameters={"when": "args.nothing > 1"}, effect="alert")
    call = refund(world)
    assert call["status"] == "awaiting_review"
    assert UserTask.objects.get().why[0]["detail"].startswith("The rule could not be evaluated")
