"""Whole stories that integrators and operators of earlier systems rely on, from end to end."""

import datetime as dt
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import ProtectedError
from django.test import Client

from accounts_app.clock import db_now
from accounts_app.errors import NotFound
from accounts_app.models import AuditEntry, Membership, User
from accounts_app.scoping import system_actor
from accounts_app.services.agents import put_agent
from integrations_app.models import Run
from integrations_app.services.execution import execute
from integrations_app.services.pruning import prune
from tasks_app.kinds import Answer as Given
from tasks_app.models import DraftRevision, UserTask, Vote
from tasks_app.services.claims import claim, release
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.drafts import save_draft
from tasks_app.services.remarks import comment
from tasks_app.services.sweeping import sweep
from tasks_app.waiting import seconds_for_people
from tests.api_client import Answer, Api
from tests.conftest import World

Move = Callable[[float], None]


def ask(world: World, **members: object) -> Answer:
    return world.agent.post("tasks", {"agent": "support", "title": "Ship?", **members}).ok(201)


def choose(world: World, task: Answer, action: str, said: str | None = None) -> Answer:
    body = {"action": action, "comment": said}
    return world.decider.post(f"tasks/{task['id']}/complete", body).ok()


def approve(world: World, username: str, task: object) -> str:
    act = Decide(Given("approve"))
    row = UserTask.objects.get(pk=task)
    return str(decide(world.cast.actor(username), row.pk, row.revision, lambda: act).status)


def test_two_workspaces_with_the_same_agent_and_key_have_a_task_each(world: World) -> None:
    other = world.cast.other
    put_agent(system_actor(other.pk), slug="support", name="Support", tasks_enabled=True)
    theirs = Api(world.cast.key("runs,read", workspace=other, name="theirs"))
    body = {"agent": "support", "title": "Ship?", "key": "order-1"}
    first = world.agent.post("tasks", body).ok(201)
    second = theirs.post("tasks", body).ok(201)
    assert first["id"] != second["id"]
    assert theirs.get(f"tasks/{first['id']}").status == 404
    assert [row["id"] for row in theirs.get("tasks").ok()["results"]] == [second["id"]]


def test_a_draft_is_worked_on_and_approved(world: World) -> None:
    task = ask(world, draft="Initial draft v0", actions=["approve", "reject", "request-changes"])
    assert world.agent.get(f"tasks/{task['id']}").ok()["draft"] == "Initial draft v0"
    for revision in (1, 2, 3):
        version = f"Draft version {revision}{' - final' if revision == 3 else ''}"
        body = {"draft": version, "revision": revision}
        world.agent.put(f"tasks/{task['id']}/draft", body).ok()
    body = {"action": "approve", "comment": "All revisions look great!", "revision": 4}
    world.decider.post(f"tasks/{task['id']}/complete", body).ok()
    result = world.agent.get(f"tasks/{task['id']}/result").ok()
    assert result["initial_work"] == "Initial draft v0"
    assert result["final_work"] == "Draft version 3 - final"
    assert (result["performed_action"], result["comment"]) == (
        "approve",
        "All revisions look great!",
    )


def test_without_an_edit_the_final_work_is_the_first(world: World) -> None:
    task = ask(world, draft={"text": "v0"})
    choose(world, task, "approve")
    result = world.agent.get(f"tasks/{task['id']}/result").ok()
    assert result["final_work"] == result["initial_work"] == {"text": "v0"}


@pytest.mark.parametrize("name", ["participant", "q", "outcome", "agent"])
def test_text_in_a_filter_is_data(world: World, name: str) -> None:
    ask(world)
    answer = world.agent.get(f"tasks?{name}=%27%20or%201%3D1")
    assert answer.status == 422 or answer.ok()["results"] == []


@pytest.mark.parametrize(
    ("action", "becomes"),
    [
        ("approve", "Human Approved"),
        ("reject", "Human Rejected"),
        ("hold", "On Hold"),
        (None, "Timed Out"),
    ],
)
def test_an_order_tells_every_answer_from_a_time_out(
    world: World, move_clock: Move, action: str | None, becomes: str
) -> None:
    task = ask(world, actions=["approve", "reject", "hold"], timeout_seconds=20)
    if action:
        choose(world, task, action, "Waiting for inventory restock")
    move_clock(21)
    sweep(execute_here=False)
    result = world.agent.get(f"tasks/{task['id']}/result").ok()
    names = {"approve": "Human Approved", "reject": "Human Rejected", "hold": "On Hold"}
    order = "Timed Out" if result["timed_out"] else names[result["performed_action"]]
    assert order == becomes
    assert (result["status"], result["completed"]) == ("completed", action is not None)
    assert result["comment"] == ("Waiting for inventory restock" if action else None)


def test_a_time_out_is_dated_at_the_deadline_and_says_so_to_whoever_is_late(
    world: World, move_clock: Move
) -> None:
    task = ask(world, timeout_seconds=48 * 3600)
    move_clock(48 * 3600)
    late = world.decider.post(f"tasks/{task['id']}/approve").refused(409, "deadline_passed")
    sweep(execute_here=False)
    shown = world.agent.get(f"tasks/{task['id']}").ok()
    due, done = (dt.datetime.fromisoformat(shown[name]) for name in ("due_at", "completed_at"))
    assert abs(done - due) < dt.timedelta(seconds=5)
    assert f"{due:%Y-%m-%d %H:%M}" in late["detail"]


GATES = [
    ["approve", "reject"],
    ["ship", "hold", "cancel"],
    ["approve", "request-changes"],
    ["yes", "no", "escalate"],
    ["approve", "escalate"],
]


def through_the_gates(world: World, run: str, chosen: list[str]) -> list[str]:
    """An agent that goes from gate to gate, and stops where somebody escalates."""
    passed = []
    for number, (actions, action) in enumerate(zip(GATES, chosen, strict=True), start=1):
        offered = [*actions, "escalate"] if "escalate" not in actions else actions
        body = {"run": run, "title": f"Gate {number}", "actions": offered}
        task = world.agent.post("tasks", body).ok(201)
        assert [row["name"] for row in task["actions"]] == offered
        choose(world, task, action)
        result = world.agent.get(f"tasks/{task['id']}/result").ok()
        passed.append(result["performed_action"])
        if result["performed_action"] == "escalate":
            break
    return passed


@pytest.mark.parametrize(
    ("chosen", "passed"),
    [
        (["approve", "ship", "request-changes", "yes", "approve"], 5),
        (["escalate", "ship", "request-changes", "yes", "approve"], 1),
    ],
)
def test_five_gates_in_a_row_with_actions_of_their_own(
    world: World, chosen: list[str], passed: int
) -> None:
    run = world.run()
    assert through_the_gates(world, run, chosen) == chosen[:passed]
    assert UserTask.objects.filter(run=run).count() == passed
    items = world.agent.get(f"runs/{run}/timeline").ok()["results"]
    decided = [item for item in items if item.get("event") == "task.completed"]
    actions = [item["data"]["action"] for item in decided]
    assert actions == chosen[:passed]


def test_three_reviewers_in_parallel_each_get_a_task_and_the_majority_counts(world: World) -> None:
    run = world.run()
    answers = {"ann": "approve", "abe": "reject", "admin": "approve"}
    for name, action in answers.items():
        body = {"run": run, "title": "Publish?", "reviewers": {"users": [name]}}
        task = world.agent.post("tasks", body).ok(201)
        act = Decide(Given(action))
        decide(world.cast.actor(name), UUID(task["id"]), 1, lambda act=act: act)
    found = world.agent.get(f"tasks?run={run}").ok()["results"]
    actions = sorted(row["outcome"]["action"] for row in found)
    assert actions == ["approve", "approve", "reject"]
    assert world.agent.get(f"runs/{run}").ok()["status"] == "running"


def test_the_second_stage_begins_with_what_the_first_ended_with(world: World) -> None:
    run = world.run()
    body = {"run": run, "title": "Manager", "draft": "v0", "reviewers": {"users": ["ann"]}}
    first = world.agent.post("tasks", body).ok(201)
    act = Decide(Given("approve"), draft="v1 by the manager")
    decide(world.cast.actor("ann"), UUID(first["id"]), 1, lambda: act)
    work = world.agent.get(f"tasks/{first['id']}/result").ok()["final_work"]
    body = {"run": run, "title": "Director", "draft": work, "reviewers": {"users": ["abe"]}}
    second = world.agent.post("tasks", body).ok(201)
    assert second["initial_work"] == "v1 by the manager"


def test_a_rejected_call_tells_the_agent_why_and_its_run_goes_on(world: World) -> None:
    call = world.refund(900).ok(201)
    body = {"comment": "Not in this quarter."}
    world.decider.post(f"tasks/{call['task']}/reject", body).ok()
    shown = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert (shown["status"], shown["error"]) == (
        "rejected",
        {"code": "rejected", "detail": "Not in this quarter."},
    )
    assert world.agent.get(f"runs/{call['run']}").ok()["status"] == "running"
    # Whether a run fails over it is the agent's to say; the policy has no member for it.
    world.operation(approval={"on_reject": "fail"}).refused(
        422, "unknown_field", "approval.on_reject"
    )


def test_what_changed_after_the_approval_is_not_sent_and_the_task_stays_completed(
    world: World,
) -> None:
    call = world.refund(900).ok(201)
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    world.operation(path="/ok/elsewhere").ok()
    assert execute(UUID(call["id"])).status == "awaiting_approval"
    assert world.receiver.hits == []
    assert world.agent.get(f"tasks/{call['task']}").ok()["outcome"]["action"] == "approve"
    asked_again = world.agent.get(f"tool-calls/{call['id']}").ok()["task"]
    assert asked_again != call["task"]
    assert world.agent.get(f"tasks/{asked_again}").ok()["stale"] == {"changed": ["operation"]}
    assert AuditEntry.objects.filter(verb="call.held_back", target_id=call["id"]).count() == 1


def test_a_call_that_is_sent_again_and_lost_again_is_asked_about_again(world: World) -> None:
    world.operation(path="/drop-after-effect/x").ok()
    call = world.refund(40).ok(201)
    questions = set()
    for hits in (1, 2):
        assert execute(UUID(call["id"])).status == "unknown"
        assert len(world.receiver.hits) == hits
        task = world.agent.get(f"tool-calls/{call['id']}").ok()["task"]
        questions.add(task)
        world.decider.post(f"tasks/{task}/complete", {"action": "send_again"}).ok()
    assert len(questions) == 2


def test_a_retried_step_replaces_the_task_of_the_attempt_before(world: World) -> None:
    run = world.run()
    body = {"run": run, "title": "Attempt 1", "key": "step-7"}
    first = world.agent.post("tasks", body).ok(201)
    again = {**body, "title": "Attempt 2", "on_conflict": "replace"}
    second = world.agent.post("tasks", again).ok(201)
    old = world.agent.get(f"tasks/{first['id']}").ok()
    assert (old["status"], old["outcome"]["cancelled_reason"]) == ("cancelled", "replaced")
    world.decider.post(f"tasks/{first['id']}/approve").refused(409, "already_cancelled")
    found = world.agent.get(f"tasks?run={run}&status=pending").ok()["results"]
    assert [row["id"] for row in found] == [second["id"]]


def worked_on(world: World) -> Answer:
    """A task on which Ann drafted, commented and voted, and that she holds."""
    task = ask(world, draft="v0", quorum=2, reviewers={"users": ["ann", "abe", "admin"]})
    ann, pk = world.cast.actor("ann"), UUID(task["id"])
    save_draft(ann, pk, 1, lambda: "v1 by Ann")
    comment(ann, pk, lambda: "Nearly there.")
    approve(world, "ann", pk)
    claim(ann, pk)
    return task


def delete(username: str) -> None:
    """As an administrator of the machine might do it: a member cannot be deleted, so first that."""
    user = User.objects.get(username=username)
    with pytest.raises(ProtectedError):
        user.delete()
    Membership.objects.filter(user=user).delete()
    user.delete()


def test_a_deleted_person_leaves_tasks_votes_drafts_and_audit_behind(world: World) -> None:
    task = worked_on(world)
    before = AuditEntry.objects.count()
    delete("ann")
    row = UserTask.objects.get(pk=task["id"])
    assert (row.status, row.draft, row.claimed_by) == ("pending", "v1 by Ann", None)
    assert [vote.by["name"] for vote in Vote.objects.filter(task=row)] == ["ann"]
    kept = DraftRevision.objects.filter(task=row).order_by("revision")
    assert [draft.by["name"] for draft in kept] == ["agent", "ann"]
    assert AuditEntry.objects.count() == before
    events = world.agent.get(f"tasks/{task['id']}/events").ok()["results"]
    assert "ann" in {event["actor"]["name"] for event in events}
    sweep(execute_here=True)
    assert approve(world, "abe", task["id"]) == "completed"


def test_what_a_person_decided_is_theirs_after_they_are_deleted(world: World) -> None:
    task = ask(world)
    approve(world, "ann", task["id"])
    delete("ann")
    outcome = world.agent.get(f"tasks/{task['id']}").ok()["outcome"]
    assert (outcome["action"], outcome["decided_by"]["name"]) == ("approve", "ann")


def test_what_a_deactivated_person_held_is_in_the_queue_after_one_sweep(world: World) -> None:
    task = worked_on(world)
    # Past every service, as an administrator of the machine might do it.
    User.objects.filter(username="ann").update(is_active=False)
    assert sweep(execute_here=False)["claims_lapsed"] == 1
    row = UserTask.objects.get(pk=task["id"])
    assert (row.claimed_by, row.claim_token, row.draft) == (None, None, "v1 by Ann")
    assert Vote.objects.filter(task=row).count() == 1
    assert DraftRevision.objects.filter(task=row).count() == 2


def test_a_comment_a_claim_and_another_vote_make_no_decision_stale(world: World) -> None:
    task = ask(world, draft="v0", quorum=2)
    pk = UUID(task["id"])
    world.decider.put(f"tasks/{pk}/draft", {"draft": "v1", "revision": 1}).ok()
    abe = world.cast.actor("abe")
    comment(abe, pk, lambda: "Looks fine.")
    claim(abe, pk)
    release(abe, pk)
    approve(world, "abe", pk)
    act = Decide(Given("approve"))
    assert decide(world.cast.actor("ann"), pk, 2, lambda: act).status == "completed"


@pytest.mark.parametrize(
    "how",
    ["run/complete", "run/fail", "run/terminate", "parent", "session/end", "session/terminate"],
)
def test_however_a_run_ends_nothing_of_it_is_left_pending(world: World, how: str) -> None:
    session = world.agent.post("sessions", {"agent": "support"}).ok(201)["id"]
    parent = world.agent.post("runs", {"session": session}).ok(201)["id"]
    run = world.agent.post("runs", {"session": session, "parent_run": parent}).ok(201)["id"]
    world.agent.post("tasks", {"run": run, "title": "T"}).ok(201)
    done = world.agent.post("tasks", {"run": run, "title": "Done"}).ok(201)
    choose(world, done, "approve")
    world.refund(900, run).ok(201)
    body = {"run": run, "title": "Stays", "survive_parent_close": True}
    stays = world.agent.post("tasks", body).ok(201)
    kind, _, act = how.partition("/")
    paths = {"run": f"runs/{run}/{act}", "session": f"sessions/{session}/{act}"}
    body = {"fail": {"error": "x"}, "terminate": {"reason": "x"}}.get(act)
    world.agent.post(paths.get(kind, f"runs/{parent}/complete"), body).ok()
    assert Run.objects.get(pk=run).status in ("completed", "failed", "terminated")
    pending = UserTask.objects.filter(session=session, status="pending")
    assert [str(task.pk) for task in pending] == [stays["id"]]
    assert world.agent.get(f"tasks/{done['id']}").ok()["outcome"]["action"] == "approve"
    world.decider.post(f"tasks/{stays['id']}/approve").ok()
    assert world.agent.get(f"tasks/{stays['id']}/result").ok()["completed"] is True


def test_alerts_stay_open_when_their_session_is_terminated(world: World) -> None:
    parameters = {"when": "true"}
    body = {"name": "Any", "detector": "condition", "parameters": parameters}
    world.admin.put("guard/rules/any", {**body, "effect": "alert", "enabled": True}).ok(201)
    run = world.run()
    world.refund(900, run).ok(201)
    session = world.agent.get(f"runs/{run}").ok()["session"]
    world.agent.post(f"sessions/{session}/terminate", {"reason": "Enough."}).ok()
    found = UserTask.objects.filter(session=session).values_list("kind", "status")
    assert sorted(found) == [("anomaly_alert", "pending"), ("approval", "cancelled")]


def test_a_hundred_decisions_at_once_each_have_their_own_answer(world: World) -> None:
    tasks = [ask(world)["id"] for _ in range(97)]
    for pk in tasks[:3]:
        world.decider.put(f"tasks/{pk}/draft", {"draft": "v1", "revision": 1}).ok()
    foreign = ["01900000-0000-7000-8000-000000000000", "01900000-0000-7000-8000-000000000001"]
    order = [*foreign, *tasks, tasks[50]]
    items = [{"task": pk, "action": "approve", "revision": 1} for pk in order]
    results = world.decider.post("tasks/bulk-complete", {"items": items}).ok()["results"]
    assert [row["task"] for row in results] == order
    codes = [row["code"] for row in results]
    expected = ["not_found"] * 2 + ["stale_revision"] * 3 + [None] * 94 + ["already_completed"]
    assert codes == expected
    assert UserTask.objects.filter(status="completed").count() == 94


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="plans are PostgreSQL's")
@pytest.mark.parametrize("status", ["pending", "completed"])
def test_the_queue_is_read_along_its_index_and_never_sorted(world: World, status: str) -> None:
    ask(world)
    rows = UserTask.objects.visible_to(world.cast.actor("ann")).filter(status=status)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        plan = rows.order_by("-created_at", "-pk")[:21].explain()
    # Both are in the queue's order; which is cheaper depends on how much is pending.
    assert "using task_list" in plan or "using task_newest" in plan
    assert "Sort" not in plan


def test_times_of_tasks_are_utc_with_a_zone(world: World) -> None:
    task = ask(world, timeout_seconds=60)
    for name in ("created_at", "updated_at", "due_at"):
        assert task[name].endswith("Z")
    assert dt.datetime.fromisoformat(task["due_at"]) > db_now()


def test_a_run_says_how_long_it_waited_for_people(world: World, move_clock: Move) -> None:
    run = world.run()
    page = Client()
    page.force_login(User.objects.get(username="ann"))
    first = world.agent.post("tasks", {"run": run, "title": "A"}).ok(201)
    move_clock(60)
    second = world.agent.post("tasks", {"run": run, "title": "B"}).ok(201)
    move_clock(60)
    choose(world, first, "approve")
    move_clock(60)
    choose(world, second, "approve")
    move_clock(3600)
    # Both were pending for a minute: that counts once; what came after was no waiting.
    assert 180 <= seconds_for_people(UUID(run), db_now()) < 200
    assert "<dd>3 min" in page.get(f"/admin/review/runs/{run}/").content.decode()
    world.agent.post("tasks", {"run": run, "title": "C"}).ok(201)
    move_clock(3600)
    assert 3780 <= seconds_for_people(UUID(run), db_now()) < 3800
    assert "<dd>1 h 3 min</dd>" in page.get(f"/admin/review/runs/{run}/").content.decode()


def test_who_decided_one_task_of_a_run_sees_nothing_of_what_others_are_asked(world: World) -> None:
    run = world.run()
    body = {"run": run, "title": "First", "reviewers": {"users": ["ann"]}}
    first = world.agent.post("tasks", body).ok(201)
    approve(world, "ann", first["id"])
    body = {"run": run, "title": "Second", "reviewers": {"users": ["abe"]}}
    second = world.agent.post("tasks", body).ok(201)
    ann = world.cast.actor("ann")
    seen = UserTask.objects.visible_to(ann).filter(run=run)
    assert [str(task.pk) for task in seen] == [first["id"]]
    with pytest.raises(NotFound):
        approve(world, "ann", second["id"])
    page = Client()
    page.force_login(User.objects.get(username="ann"))
    assert "Second" not in page.get(f"/admin/review/runs/{run}/").content.decode()
    assert page.get(f"/admin/review/tasks/{second['id']}/").status_code == 404


def test_what_waits_for_a_year_is_pruned_by_nobody(world: World, move_clock: Move) -> None:
    """No retention is shorter than the longest deadline, because what waits is never pruned."""
    world.operation(approval={"timeout_seconds": 31_536_000}).ok()
    call = world.refund(900, key="order-1").ok(201)
    for _ in range(4):
        move_clock(91 * 24 * 3600)
        prune(keep_days=1)
        sweep(execute_here=False)
    again = world.refund(900, call["run"], key="order-1").ok(200)
    assert (again["id"], again["status"]) == (call["id"], "awaiting_approval")
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    assert execute(UUID(call["id"])).status == "succeeded"
    assert world.agent.get(f"tasks/{call['task']}/result").ok()["performed_action"] == "approve"


def test_an_admin_alone_says_that_a_time_out_approves_and_never_for_what_happens_once(
    world: World, move_clock: Move
) -> None:
    approval = {"timeout_seconds": 60, "on_timeout": {"action": "approve"}}
    world.operation(effect="once", approval=approval).refused(
        422, "invalid_value", "approval.on_timeout"
    )
    world.operation(effect="idempotent", approval=approval).ok()
    call = world.refund(900).ok(201)
    move_clock(61)
    sweep(execute_here=False)
    outcome = world.agent.get(f"tasks/{call['task']}").ok()["outcome"]
    assert (outcome["action"], outcome["timed_out"], outcome["completed"]) == (
        "approve",
        True,
        False,
    )
    assert (outcome["decided_by"]["type"], outcome["channel"]) == ("system", "system")
    assert execute(UUID(call["id"])).status == "succeeded"


def test_a_caller_goes_on_at_once_and_reads_the_answer_later_as_often_as_it_likes(
    world: World,
) -> None:
    task = ask(world, key="order-1")
    assert (task["status"], task["outcome"]) == ("pending", None)
    choose(world, task, "approve", "Looks good to me!")
    read = [world.agent.get(f"tasks/{task['id']}/result").ok().json for _ in range(3)]
    assert read[0] == read[1] == read[2]
    assert (read[0]["performed_action"], read[0]["comment"]) == ("approve", "Looks good to me!")
