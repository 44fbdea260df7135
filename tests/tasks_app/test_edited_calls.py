"""Arguments that a person edits: fitted, screened and judged anew; what was decided runs."""

import json

import pytest

from accounts_app import crypto
from accounts_app.models import AuditEntry
from guard_app.models import GuardRule
from integrations_app.models import Clearance, ToolCall
from integrations_app.services.execution import execute
from tasks_app.kinds import Answer as Given
from tasks_app.models import DraftRevision, UserTask
from tasks_app.services.deciding import Decide, decide
from tests.api_client import Answer
from tests.conftest import OPERATIONS, World


def editable(world: World, amount: float = 1500, **policy: object) -> Answer:
    approval = {"when": "args.amount > 100", "allow_edit": True, **policy}
    world.operation(approval=approval).ok(200)
    return world.refund(amount).ok(201)


def put(world: World, call: Answer, revision: int = 1, **arguments: object) -> Answer:
    body = {"draft": {"charge": "ch_1", **arguments}, "revision": revision}
    return world.decider.put(f"tasks/{call['task']}/draft", body)


def sent(world: World) -> list[object]:
    return [json.loads(hit.body) for hit in world.receiver.hits]


def test_the_draft_of_a_call_is_its_arguments(world: World) -> None:
    call = editable(world)
    task = world.decider.get(f"tasks/{call['task']}").ok()
    assert task["initial_work"] == task["draft"] == {"charge": "ch_1", "amount": 1500}


def test_what_was_edited_and_approved_runs(world: World) -> None:
    call = editable(world)
    before = ToolCall.objects.get(pk=call["id"]).request_digest
    assert put(world, call, amount=500).ok()["revision"] == 2
    after = ToolCall.objects.get(pk=call["id"])
    assert after.request_digest != before
    assert UserTask.objects.get(pk=call["task"]).digest == after.request_digest
    world.decider.post(f"tasks/{call['task']}/approve", {"revision": 1}).refused(
        409, "stale_revision"
    )
    world.decider.post(f"tasks/{call['task']}/approve", {"revision": 2}).ok()
    assert Clearance.objects.get(call=after).digest == after.request_digest
    assert execute(after.pk).status == "succeeded"
    assert sent(world) == [{"charge": "ch_1", "amount": 500}]
    shown = world.agent.get(f"tool-calls/{call['id']}")
    assert shown["arguments"] == {"charge": "ch_1", "amount": 500}
    result = world.agent.get(f"tasks/{call['task']}/result")
    assert result["initial_work"] == {"charge": "ch_1", "amount": 1500}
    assert result["final_work"] == {"charge": "ch_1", "amount": 500}


def test_edited_and_approved_in_one_step(world: World) -> None:
    call = editable(world)
    body = {"draft": {"charge": "ch_1", "amount": 40}, "revision": 1}
    world.decider.post(f"tasks/{call['task']}/approve", body).ok()
    assert execute(ToolCall.objects.get(pk=call["id"]).pk).status == "succeeded"
    assert sent(world) == [{"charge": "ch_1", "amount": 40}]


def test_a_person_edits_in_the_back_office(world: World) -> None:
    call = editable(world)
    row = ToolCall.objects.get(pk=call["id"])
    act = Decide(Given("approve"), draft={"charge": "ch_1", "amount": 41})
    task = UserTask.objects.get(pk=call["task"])
    assert decide(world.cast.actor("ann"), task.pk, 1, lambda: act).status == "completed"
    assert execute(row.pk).status == "succeeded"
    assert sent(world) == [{"charge": "ch_1", "amount": 41}]


def test_the_reasons_follow_the_edit(world: World) -> None:
    call = editable(world)
    put(world, call, amount=700).ok()
    task = UserTask.objects.get(pk=call["task"])
    assert task.why[0]["facts"] == [{"path": "args.amount", "value": 700}]
    put(world, call, revision=2, amount=70).ok()
    task.refresh_from_db()
    assert (task.why[0]["outcome"], task.why[0]["facts"]) == ("always", [])


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        ({"charge": "ch_1", "amount": "a lot"}, "/draft/amount"),
        ({"charge": "ch_1"}, "/draft/amount"),
        ({"charge": "ch_1", "amount": 1, "to": "me"}, "/draft/to"),
        ("everything", "draft"),
        (None, "draft"),
    ],
)
def test_arguments_that_do_not_fit_change_nothing(world: World, draft: object, field: str) -> None:
    call = editable(world)
    before = ToolCall.objects.values().get(pk=call["id"])
    body = {"draft": draft, "revision": 1}
    refusal = world.decider.put(f"tasks/{call['task']}/draft", body)
    assert refusal.status == 422, refusal
    assert any(error["field"].startswith(field.split("/")[0]) for error in refusal["errors"])
    assert ToolCall.objects.values().get(pk=call["id"]) == before
    assert UserTask.objects.get(pk=call["task"]).revision == 1


def test_without_allow_edit_nobody_edits(world: World) -> None:
    call = world.refund(900).ok(201)
    assert world.decider.get(f"tasks/{call['task']}")["draft"] is None
    put(world, call, amount=1).refused(403, "not_editable")
    body = {"draft": {"charge": "ch_1", "amount": 1}, "revision": 1}
    world.decider.post(f"tasks/{call['task']}/approve", body).refused(403, "not_editable")
    assert UserTask.objects.get(pk=call["task"]).status == "pending"


def test_an_agent_cannot_change_what_is_under_review(world: World) -> None:
    call = editable(world)
    body = {"draft": {"charge": "ch_1", "amount": 1}, "revision": 1}
    world.agent.put(f"tasks/{call['task']}/draft", body).refused(403, "insufficient_scope")
    told = {"text": "Less, then.", "draft": {"charge": "ch_1", "amount": 1}}
    world.agent.post(f"tasks/{call['task']}/information", told).refused(403, "insufficient_scope")
    assert UserTask.objects.get(pk=call["task"]).revision == 1


def test_sensitive_arguments_stay_masked_and_survive_an_edit(world: World) -> None:
    world.operation(
        sensitive=["/charge"], approval={"when": "args.amount > 100", "allow_edit": True}
    ).ok()
    call = world.refund(1500).ok(201)
    shown = world.decider.get(f"tasks/{call['task']}/draft").ok()
    assert shown["draft"] == {"charge": "•••", "amount": 1500}
    body = {"draft": {**shown["draft"], "amount": 600}, "revision": 1}
    edited = world.decider.put(f"tasks/{call['task']}/draft", body).ok()
    assert edited["draft"] == {"charge": "•••", "amount": 600}
    rows = DraftRevision.objects.filter(task=call["task"]).order_by("revision")
    # Evidence of what was changed, sealed like the call's own arguments.
    places = [f"draft_revision:{row.pk}" for row in rows]
    opened = [
        crypto.unseal(row.sealed, place=place) for row, place in zip(rows, places, strict=True)
    ]
    assert [json.loads(plain) for plain in opened] == [
        {"charge": "ch_1", "amount": 1500},
        {"charge": "ch_1", "amount": 600},
    ]
    assert "ch_1" not in json.dumps([row.draft for row in rows])
    world.decider.post(f"tasks/{call['task']}/approve", {"revision": 2}).ok()
    execute(ToolCall.objects.get(pk=call["id"]).pk)
    assert sent(world) == [{"charge": "ch_1", "amount": 600}]


def rule(world: World, effect: str) -> None:
    GuardRule.objects.create(
        workspace=world.cast.workspace,
        created_at=world.cast.workspace.created_at,
        slug="repeats",
        name="Repeats",
        detector="repeated_call",
        parameters={"limit": 1},
        effect=effect,
        enabled=True,
    )


def test_what_the_guard_would_block_is_refused(world: World) -> None:
    call = editable(world)
    run = call["run"]
    world.refund(40, run).ok(201)
    rule(world, "block")
    refusal = put(world, call, amount=40).refused(422, "blocked", "draft")
    assert "Repeats" in refusal["errors"][0]["detail"]
    assert ToolCall.objects.get(pk=call["id"]).arguments == {"charge": "ch_1", "amount": 1500}
    body = {"draft": {"charge": "ch_1", "amount": 40}, "revision": 1}
    world.decider.post(f"tasks/{call['task']}/approve", body).refused(422, "blocked", "draft")
    task = UserTask.objects.get(pk=call["task"])
    assert (task.status, task.revision) == ("pending", 1)
    tried = AuditEntry.objects.filter(target_id=call["task"], verb="task.edit_blocked")
    assert [entry.facts for entry in tried] == [{"rules": ["Repeats"]}] * 2


def test_what_the_guard_pauses_waits_for_an_analyst_after_the_approval(world: World) -> None:
    call = editable(world)
    world.refund(40, call["run"]).ok(201)
    rule(world, "review")
    put(world, call, amount=40).ok()
    world.decider.post(f"tasks/{call['task']}/approve", {"revision": 2}).ok()
    paused = world.agent.get(f"tool-calls/{call['id']}")
    assert paused["status"] == "awaiting_review"
    review = UserTask.objects.get(pk=paused["task"])
    assert (review.kind, review.status) == ("anomaly_review", "pending")
    world.decider.post(f"tasks/{review.pk}/approve").refused(403, "dashboard_only")
    assert execute(ToolCall.objects.get(pk=call["id"]).pk).status == ""
    gus = world.cast.actor("gus")
    decide(gus, review.pk, 1, lambda: Decide(Given("approve")))
    assert execute(ToolCall.objects.get(pk=call["id"]).pk).status == "succeeded"


def test_an_analyst_rejects_what_was_approved_edited(world: World) -> None:
    call = editable(world)
    world.refund(40, call["run"]).ok(201)
    rule(world, "review")
    body = {"draft": {"charge": "ch_1", "amount": 40}, "revision": 1}
    world.decider.post(f"tasks/{call['task']}/approve", body).ok()
    review = UserTask.objects.get(pk=world.agent.get(f"tool-calls/{call['id']}")["task"])
    decide(world.cast.actor("gus"), review.pk, 1, lambda: Decide(Given("reject")))
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "rejected"
    assert execute(ToolCall.objects.get(pk=call["id"]).pk).status == ""


def test_the_operation_changes_after_an_edit(world: World) -> None:
    call = editable(world)
    put(world, call, amount=500).ok()
    world.operation(
        path="/ok/other", approval={"when": "args.amount > 100", "allow_edit": True}
    ).ok()
    task = world.decider.get(f"tasks/{call['task']}").ok()
    assert (task["revision"], task["stale"]) == (3, {"changed": ["path"]})
    assert task["draft"] == {"charge": "ch_1", "amount": 500}
    world.decider.post(f"tasks/{call['task']}/approve", {"revision": 2}).refused(
        409, "stale_revision"
    )
    world.decider.post(f"tasks/{call['task']}/approve", {"revision": 3}).ok()
    assert execute(ToolCall.objects.get(pk=call["id"]).pk).status == "succeeded"
    assert sent(world) == [{"charge": "ch_1", "amount": 500}]


def test_the_policy_says_whether_arguments_may_be_edited(world: World) -> None:
    shown = world.operation(approval={"allow_edit": True}).ok()
    assert shown["approval"]["allow_edit"] is True
    world.operation(approval={"allow_edit": "yes"}).refused(
        422, "invalid_value", "approval.allow_edit"
    )
    assert OPERATIONS["refund"]["approval"] == {"when": "args.amount > 100"}
