"""Tasks that an agent asks for itself: created, read, found, decided, timed out."""

from collections.abc import Callable

import pytest
from django.core.management import call_command

from accounts_app.models import Agent
from integrations_app.models import Run, Session
from tasks_app.models import UserTask
from tests.conftest import World

DEFAULT = ["approve", "reject"]


def names(task: object) -> list[str]:
    return [action["name"] for action in task["actions"]]


def ask(world: World, **members: object) -> object:
    return world.agent.post("tasks", {"agent": "support", "title": "Ship it?", **members})


def test_created_read_and_listed_alike(world: World) -> None:
    task = ask(
        world,
        key="k",
        description="Three parcels.",
        participant="test-reviewer",
        actions=["approve", "reject", {"name": "request-info", "comment_required": True}],
        draft={"text": "Original"},
        metadata={"a": 1},
        timeout_seconds=86_400,
    ).ok(201)
    assert (task["status"], task["kind"], task["revision"]) == ("pending", "approval", 1)
    assert names(task) == [*DEFAULT, "request-info"]
    assert task["initial_work"] == task["draft"] == {"text": "Original"}
    assert task["due_at"] is not None
    assert task["outcome"] is None
    assert task["api_completable"] is True
    read = world.decider.get(f"tasks/{task['id']}").ok().json
    assert read == task.json
    assert world.decider.get("tasks").ok()["results"] == [read]
    result = world.agent.get(f"tasks/{task['id']}/result").ok()
    assert (result["completed"], result["performed_action"]) == (False, None)
    assert (Session.objects.count(), Run.objects.count()) == (1, 1)


@pytest.mark.parametrize("actions", [None, []])
def test_no_actions_are_the_default_ones(world: World, actions: object) -> None:
    task = ask(world, actions=actions).ok(201)
    assert names(task) == DEFAULT
    assert names(world.agent.get(f"tasks/{task['id']}")) == DEFAULT
    assert names(world.agent.get("tasks")["results"][0]) == DEFAULT


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"title": " "}, "invalid_value", "title"),
        ({"title": None}, "invalid_value", "title"),
        ({"title": "x" * 201}, "too_long", "title"),
        ({"kind": "nope"}, "invalid_value", "kind"),
        ({"kind": "multi_option"}, "required", "options"),
        ({"kind": "multi_option", "options": [{"id": "a"}]}, "invalid_value", "options.0.label"),
        ({"kind": "text", "actions": ["go"]}, "invalid_value", "actions"),
        ({"kind": "text", "input": {"pattern": "("}}, "invalid_value", "input.pattern"),
        ({"kind": "number", "input": {"minimum": 5, "maximum": 1}}, "invalid_value", None),
        ({"actions": ["a", "a"]}, "invalid_value", "actions.1"),
        ({"actions": [" "]}, "invalid_value", "actions.0.name"),
        ({"actions": [{"label": "x"}]}, "invalid_value", "actions.0.name"),
        ({"actions": "approve"}, "invalid_value", "actions"),
        ({"timeout_seconds": 0}, "invalid_value", "timeout_seconds"),
        ({"timeout_seconds": 31_536_001}, "invalid_value", "timeout_seconds"),
        ({"timeout_seconds": "60"}, "invalid_value", "timeout_seconds"),
        ({"on_timeout": {"action": "ship"}}, "unknown_action", "on_timeout.action"),
        ({"on_timeout": "approve"}, "invalid_value", "on_timeout"),
        ({"on_conflict": "ignore"}, "invalid_value", "on_conflict"),
        ({"description": "x" * 20_001}, "too_long", "description"),
        ({"draft": "x" * 262_144}, "too_long", "draft"),
        ({"title": 5}, "invalid_value", "title"),
        ({"agent": "nobody"}, "not_found", "agent"),
        ({"agent": None}, "required", "run"),
    ],
)
def test_what_cannot_be_asked(
    world: World, members: dict[str, object], code: str, field: str | None
) -> None:
    ask(world, **members).refused(422, code, field)
    assert not UserTask.objects.exists()
    assert not Session.objects.exists()


def test_who_may_not_ask(world: World) -> None:
    for kind in ("anomaly_review", "anomaly_alert"):
        ask(world, kind=kind).refused(403, "kind_not_creatable")
    Agent.objects.update(tasks_enabled=False)
    refusal = ask(world).refused(403, "tasks_not_enabled")
    assert "tasks enabled" in refusal["detail"]
    world.refund(900).refused(403, "tasks_not_enabled")
    Agent.objects.update(tasks_enabled=True, enabled=False)
    assert "must enable it first" in ask(world).refused(409, "agent_frozen")["detail"]
    assert not UserTask.objects.exists()


def test_the_same_key(world: World) -> None:
    first = ask(world, key="k").ok(201)
    assert ask(world, key="k").ok(200)["id"] == first["id"]
    assert ask(world, key="k", on_conflict="return").ok(200)["id"] == first["id"]
    ask(world, key="k", title="Another").refused(409, "idempotency_mismatch")
    ask(world, key="k", on_conflict="fail").refused(409, "key_exists")
    second = ask(world, key="k", on_conflict="replace").ok(201)
    assert second["id"] != first["id"]
    replaced = world.agent.get(f"tasks/{first['id']}").ok()
    assert replaced["outcome"]["cancelled_reason"] == "replaced"
    assert ask(world, key="k").ok(200)["id"] == second["id"]
    world.decider.post(f"tasks/{second['id']}/approve").ok()
    done = ask(world, key="k").ok(200)
    assert (done["id"], done["status"]) == (second["id"], "completed")


@pytest.mark.parametrize("name", ["hold", "ship/it", "naïve ✓", "<b>go</b>", "a" * 120])
def test_custom_actions_keep_their_names(world: World, name: str) -> None:
    task = ask(world, actions=["ship", name]).ok(201)
    comment = "Waiting for inventory restock"
    body = {"action": name, "comment": comment}
    done = world.decider.post(f"tasks/{task['id']}/complete", body).ok()
    assert (done["outcome"]["action"], done["outcome"]["comment"]) == (name, comment)
    world.decider.post(f"tasks/{task['id']}/approve").refused(409, "already_completed")


def test_a_shortcut_needs_its_action(world: World) -> None:
    task = ask(world, actions=["ship", "hold"]).ok(201)
    for shortcut in ("approve", "reject"):
        refusal = world.decider.post(f"tasks/{task['id']}/{shortcut}").refused(
            422, "unknown_action"
        )
        assert "ship, hold" in refusal["detail"]
    assert UserTask.objects.get().status == "pending"


def test_a_required_comment(world: World) -> None:
    task = ask(world, actions=[{"name": "reject", "comment_required": True}, "approve"]).ok(201)
    path = f"tasks/{task['id']}/reject"
    for comment in (None, "", "  "):
        world.decider.post(path, {"comment": comment}).refused(422, "comment_required", "comment")
    world.decider.post(path, {"comment": "x" * 10_001}).refused(422, "too_long", "comment")
    world.decider.post(path, {"comment": "because"}).ok()


def test_the_legacy_kind_keeps_its_label(world: World) -> None:
    task = ask(world, kind="hitl").ok(201)
    done = world.decider.post(f"tasks/{task['id']}/reject", {"comment": "no"}).ok()
    assert (done["kind"], done["status"], done["outcome"]["action"]) == (
        "hitl",
        "completed",
        "reject",
    )


ANSWERS = [
    ("text", {}, "Berlin", True),
    ("text", {}, " ", False),
    ("text", {}, 5, False),
    ("text", {"input": {"pattern": "^[A-Z]"}}, "berlin", False),
    ("text", {"input": {"min_length": 3, "max_length": 5}}, "ab", False),
    ("number", {}, 5, True),
    ("number", {}, "5", False),
    ("number", {}, True, False),
    ("number", {"input": {"integer": True}}, 5.5, False),
    ("number", {"input": {"minimum": 1, "maximum": 9}}, 10, False),
    ("multi_option", {"options": [{"id": "a", "label": "A"}]}, "a", True),
    ("multi_option", {"options": [{"id": "a", "label": "A"}]}, "b", False),
    ("multi_option", {"options": [{"id": "a", "label": "A"}]}, None, False),
]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("7e1", "70"), ("70.0", "70"), ("-0.0", "0"), ("9007199254740993", "9007199254740993")],
)
def test_a_whole_number_reads_as_one_however_it_was_written(
    world: World, sent: str, kept: str
) -> None:
    task = ask(world, kind="number", input={"integer": True}).ok(201)
    path = f"tasks/{task['id']}"
    done = world.decider.post(f"{path}/complete", f'{{"value": {sent}}}'.encode()).ok()
    result = world.agent.get(f"{path}/result").ok()
    assert repr(done["outcome"]["value"]) == repr(result["value"]) == kept


def test_where_any_number_will_do_it_is_kept_as_it_came(world: World) -> None:
    for members, value in (({}, 70.0), ({"input": {"integer": True}}, 1e19)):
        task = ask(world, kind="number", **members).ok(201)
        done = world.decider.post(f"tasks/{task['id']}/complete", {"value": value}).ok()
        assert repr(done["outcome"]["value"]) == repr(value)


@pytest.mark.parametrize(("kind", "members", "value", "fits"), ANSWERS)
def test_answers(
    world: World, kind: str, members: dict[str, object], value: object, fits: bool
) -> None:
    task = ask(world, kind=kind, **members).ok(201)
    answer = world.decider.post(f"tasks/{task['id']}/complete", {"value": value})
    if fits:
        assert answer.ok()["outcome"]["value"] == value
        assert world.agent.get(f"tasks/{task['id']}/result")["value"] == value
    else:
        answer.refused(422, "invalid_value", "value")
        assert UserTask.objects.get().status == "pending"


def test_an_escalation_is_for_the_back_office(world: World) -> None:
    task = ask(world, kind="aitl_escalation").ok(201)
    assert task["api_completable"] is False
    assert names(task) == ["answer", "decline"]
    path = f"tasks/{task['id']}/complete"
    world.decider.post(path, {"action": "answer", "value": "x"}).refused(403, "dashboard_only")


def test_metadata_merges_and_names_are_recorded_as_claimed(world: World) -> None:
    task = ask(world, metadata={"a": 1, "b": 1}).ok(201)
    body = {"metadata": {"b": 2, "c": 3}, "on_behalf_of": "zoe@example.com"}
    done = world.decider.post(f"tasks/{task['id']}/approve", body).ok()
    assert done["outcome"]["decided_by"]["on_behalf_of"] == "zoe@example.com"
    assert done["outcome"]["decided_by"]["type"] == "api_key"
    result = world.agent.get(f"tasks/{task['id']}/result").ok()
    assert result["metadata"] == {"a": 1, "b": 2, "c": 3}


def test_a_deadline_passes_before_and_after_the_sweep(
    world: World, move_clock: Callable[[float], None]
) -> None:
    task = ask(world, timeout_seconds=60).ok(201)
    path = f"tasks/{task['id']}/approve"
    move_clock(61)
    world.decider.post(path).refused(409, "deadline_passed")
    assert UserTask.objects.get().status == "pending"
    call_command("sweep")
    world.decider.post(path).refused(409, "deadline_passed")
    result = world.agent.get(f"tasks/{task['id']}/result").ok()
    assert (result["status"], result["timed_out"], result["completed"]) == (
        "completed",
        True,
        False,
    )
    assert result["performed_action"] is result["comment"] is result["completed_by"] is None


def test_a_default_action_at_the_deadline(
    world: World, move_clock: Callable[[float], None]
) -> None:
    task = ask(world, timeout_seconds=60, on_timeout={"action": "reject"}).ok(201)
    move_clock(61)
    call_command("sweep")
    result = world.agent.get(f"tasks/{task['id']}/result").ok()
    assert (result["timed_out"], result["completed"]) == (True, False)
    assert result["performed_action"] == "reject"
    assert result["completed_by"]["type"] == "system"


def test_without_a_deadline_it_waits_for_ever(
    world: World, move_clock: Callable[[float], None]
) -> None:
    task = ask(world).ok(201)
    move_clock(90 * 86_400)
    call_command("sweep")
    assert task["due_at"] is None
    assert world.agent.get(f"tasks/{task['id']}")["status"] == "pending"


def test_a_call_nobody_decided_on_times_out(
    world: World, move_clock: Callable[[float], None]
) -> None:
    world.operation(approval={"timeout_seconds": 60}).ok()
    run = world.run()
    call = world.refund(900, run).ok(201)
    move_clock(61)
    call_command("sweep")
    done = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert (done["status"], done["error"]["code"]) == ("timed_out", "timed_out")
    assert world.agent.get(f"runs/{run}")["status"] == "running"
    assert world.receiver.hits == []


def test_a_once_operation_never_proceeds_at_its_deadline(world: World) -> None:
    approval = {"timeout_seconds": 60, "on_timeout": {"action": "approve"}}
    world.operation(approval=approval).refused(422, "invalid_value", "approval.on_timeout")
    world.operation(effect="idempotent", approval=approval).ok()
    world.operation(approval=approval).refused(422, "invalid_value", "approval.on_timeout")


def test_an_idempotent_operation_may_proceed_at_its_deadline(
    world: World, move_clock: Callable[[float], None]
) -> None:
    approval = {"timeout_seconds": 60, "on_timeout": {"action": "approve"}}
    world.operation(effect="idempotent", approval=approval).ok()
    call = world.refund(900).ok(201)
    move_clock(61)
    call_command("sweep")
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "succeeded"
    assert len(world.receiver.hits) == 1


def test_found_by_filters(world: World, move_clock: Callable[[float], None]) -> None:
    first = ask(world, participant="Alice@Acme.com", title="Alpha").ok(201)
    ask(world, kind="text", title="Beta", timeout_seconds=60).ok(201)
    ask(world, kind="hitl", title="Gamma").ok(201)
    world.decider.post(f"tasks/{first['id']}/approve").ok()
    move_clock(61)
    call_command("sweep")

    def found(query: str) -> list[str]:
        return sorted(row["title"] for row in world.agent.get(f"tasks?{query}").ok()["results"])

    assert found("participant=alice@acme.com") == found("participant=ALICE@ACME.COM") == ["Alpha"]
    assert found("kind=approval,hitl") == found("kind=approval&kind=hitl") == ["Alpha", "Gamma"]
    assert found("group=approvals") == ["Alpha", "Gamma"]
    assert found("group=input") == found("timed_out=true") == ["Beta"]
    assert found("status=pending") == ["Gamma"]
    assert found("outcome=approve") == ["Alpha"]
    assert found("q=alph") == ["Alpha"]
    assert found("q=%27+or+1%3D1") == []
    assert found("agent=research") == []
    assert found(f"session={first['session']}") == found(f"run={first['run']}") == ["Alpha"]
    assert found("created_after=2001-01-01T00:00:00Z&created_before=2099-01-01T00:00:00Z") == [
        "Alpha",
        "Beta",
        "Gamma",
    ]
    assert found("due_before=2001-01-01T00:00:00Z") == []
    by_due = world.agent.get("tasks?ordering=due_at").ok()["results"]
    assert by_due[0]["title"] == "Beta"


def test_the_events_of_a_task(world: World) -> None:
    task = ask(world).ok(201)
    world.decider.post(f"tasks/{task['id']}/approve", {"comment": "ok"}).ok()
    events = world.agent.get(f"tasks/{task['id']}/events").ok()["results"]
    assert [event["type"] for event in events] == ["task.created", "task.completed"]
    assert {"id", "type", "at", "actor", "data"} == events[0].keys()
    assert events[1]["actor"]["name"] == "decider"
