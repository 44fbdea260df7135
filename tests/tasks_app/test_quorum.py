"""Quorum: distinct people, the same revision, and one no that ends it."""

import pytest

from accounts_app.models import User
from integrations_app.models import Clearance, ToolCall
from integrations_app.services.execution import execute
from tasks_app.kinds import Answer as Given
from tasks_app.models import Decision, UserTask, Vote
from tasks_app.services.deciding import Decide, decide
from tests.api_client import Answer, Api
from tests.conftest import World


def ask(world: World, **members: object) -> Answer:
    body = {"agent": "support", "title": "Ship?", "quorum": 2, **members}
    return world.agent.post("tasks", body).ok(201)


def voter(world: World, name: str, **options: object) -> Api:
    return Api(world.cast.key("decide,read", name=name, **options))


def person(world: World, name: str, task: Answer, action: str = "approve", **more: object) -> str:
    revision = UserTask.objects.get(pk=task["id"]).revision
    act = Decide(Given(action), **more)
    done = decide(world.cast.actor(name), UserTask(task["id"]).pk, revision, lambda: act)
    return str(done.status)


def test_the_second_person_completes(world: World) -> None:
    task = ask(world)
    assert (task["quorum"], task["votes"]) == (2, [])
    path = f"tasks/{task['id']}/approve"
    first = world.decider.post(path, {"comment": "Fine."}).ok()
    assert (first["status"], first["outcome"], first["revision"]) == ("pending", None, 1)
    (vote,) = first["votes"]
    assert (vote["action"], vote["comment"], vote["revision"]) == ("approve", "Fine.", 1)
    assert (vote["by"]["name"], vote["by"]["on_behalf_of"]) == ("decider", None)
    second = voter(world, "second").post(path, {"revision": 1}).ok()
    assert (second["status"], second["outcome"]["action"]) == ("completed", "approve")
    assert second["outcome"]["decided_by"]["name"] == "second"
    assert [v["by"]["name"] for v in second["votes"]] == ["decider", "second"]
    assert Decision.objects.count() == 1
    world.decider.post(path).refused(409, "already_completed")


def test_the_same_voter_counts_once(world: World) -> None:
    task = ask(world)
    world.decider.post(f"tasks/{task['id']}/approve").ok()
    world.decider.post(f"tasks/{task['id']}/approve").refused(409, "already_voted")
    refusal = world.decider.post(f"tasks/{task['id']}/reject").refused(409, "already_voted")
    assert refusal["task"]["status"] == "pending"
    assert Vote.objects.count() == 1


def test_a_person_is_one_voter_whatever_the_way(world: World) -> None:
    ann = User.objects.get(username="ann")
    task = ask(world)
    first, second = voter(world, "a", owner=ann), voter(world, "b", owner=ann)
    first.post(f"tasks/{task['id']}/approve").ok()
    second.post(f"tasks/{task['id']}/approve").refused(409, "already_voted")
    with pytest.raises(Exception, match="You voted"):
        person(world, "ann", task)
    assert person(world, "abe", task) == "completed"


def test_one_rejection_ends_it(world: World) -> None:
    task = ask(world)
    world.decider.post(f"tasks/{task['id']}/approve").ok()
    ended = voter(world, "second").post(f"tasks/{task['id']}/reject", {"comment": "No."}).ok()
    assert (ended["status"], ended["outcome"]["action"]) == ("completed", "reject")
    third = voter(world, "third").post(f"tasks/{task['id']}/approve")
    third.refused(409, "already_completed")
    assert Vote.objects.count() == 2


def test_votes_on_an_older_revision_are_void(world: World) -> None:
    task = ask(world, draft="v0")
    path = f"tasks/{task['id']}"
    world.decider.post(f"{path}/approve").ok()
    world.agent.put(f"{path}/draft", {"draft": "v1", "revision": 1}).ok()
    second = voter(world, "second")
    second.post(f"{path}/approve", {"revision": 1}).refused(409, "stale_revision")
    assert second.post(f"{path}/approve", {"revision": 2}).ok()["status"] == "pending"
    assert world.decider.post(f"{path}/approve", {"revision": 2}).ok()["status"] == "completed"
    assert [vote.revision for vote in Vote.objects.all()] == [1, 2, 2]


def test_a_vote_with_an_edit_voids_the_others(world: World) -> None:
    task = ask(world, draft="v0")
    path = f"tasks/{task['id']}/approve"
    world.decider.post(path).ok()
    edited = voter(world, "second").post(path, {"draft": "v1", "revision": 1}).ok()
    assert (edited["status"], edited["revision"]) == ("pending", 2)
    assert world.decider.post(path, {"revision": 2}).ok()["status"] == "completed"


def test_what_changes_nothing_voids_no_vote(world: World) -> None:
    task = ask(world)
    path = f"tasks/{task['id']}"
    world.decider.post(f"{path}/approve").ok()
    world.agent.post(f"{path}/comments", {"text": "Please."}).ok(201)
    world.agent.patch(f"{path}/metadata", {"a": 1}).ok()
    done = voter(world, "second").post(f"{path}/approve", {"revision": 1}).ok()
    assert done["status"] == "completed"


def test_the_action_that_first_has_its_votes_wins(world: World) -> None:
    task = ask(world, actions=["ship", "hold", "cancel"], quorum=2)
    path = f"tasks/{task['id']}/complete"
    assert world.decider.post(path, {"action": "ship"}).ok()["status"] == "pending"
    assert voter(world, "b").post(path, {"action": "hold"}).ok()["status"] == "pending"
    done = voter(world, "c").post(path, {"action": "hold"}).ok()
    assert (done["status"], done["outcome"]["action"]) == ("completed", "hold")


def test_options_are_counted_apart(world: World) -> None:
    options = [{"id": "ber", "label": "Berlin"}, {"id": "ham", "label": "Hamburg"}]
    task = ask(world, kind="multi_option", options=options)
    path = f"tasks/{task['id']}/complete"
    assert world.decider.post(path, {"value": "ber"}).ok()["status"] == "pending"
    assert voter(world, "b").post(path, {"value": "ham"}).ok()["status"] == "pending"
    done = voter(world, "c").post(path, {"value": "ham"}).ok()
    assert (done["outcome"]["value"], len(done["votes"])) == ("ham", 3)


def test_metadata_of_a_vote_is_merged(world: World) -> None:
    task = ask(world)
    path = f"tasks/{task['id']}/approve"
    shown = world.decider.post(path, {"metadata": {"a": 1}}).ok()
    assert (shown["status"], shown["metadata"]) == ("pending", {"a": 1})


@pytest.mark.parametrize("quorum", [0, -1, 4, 101, "2", 1.5, True])
def test_a_quorum_that_cannot_be(world: World, quorum: object) -> None:
    body = {"agent": "support", "title": "Ship?", "quorum": quorum}
    world.agent.post("tasks", body).refused(422, "invalid_value", "quorum")
    assert UserTask.objects.count() == 0
    world.operation(approval={"quorum": quorum}).refused(422, "invalid_value", "approval.quorum")


def test_a_quorum_of_named_people_only_counts_them(world: World) -> None:
    named = {"reviewers": {"users": ["ann", "abe"]}}
    ask(world, **named)
    body = {"agent": "support", "title": "Ship?", "quorum": 3, **named}
    world.agent.post("tasks", body).refused(422, "invalid_value", "quorum")
    world.operation(approval={"quorum": 3, **named}).refused(
        422, "invalid_value", "approval.quorum"
    )
    shown = world.operation(approval={"quorum": 2, **named}).ok()
    assert shown["approval"]["quorum"] == 2
    assert shown["approval"]["reviewers"] == {"users": ["ann", "abe"], "groups": []}
    assert "granted" not in shown["approval"]


@pytest.mark.parametrize("kind", ["text", "number", "aitl_escalation"])
def test_kinds_without_a_quorum(world: World, kind: str) -> None:
    body = {"agent": "support", "title": "?", "kind": kind, "quorum": 2}
    world.agent.post("tasks", body).refused(422, "invalid_value", "quorum")


def test_a_call_runs_after_its_second_vote(world: World) -> None:
    world.operation(approval={"quorum": 2}).ok()
    call = world.refund(900).ok(201)
    task = world.decider.get(f"tasks/{call['task']}").ok()
    assert person(world, "ann", task) == "pending"
    assert Clearance.objects.count() == 0
    assert execute(ToolCall.objects.get(pk=call["id"]).pk).status == ""
    assert person(world, "abe", task) == "completed"
    assert execute(ToolCall.objects.get(pk=call["id"]).pk).status == "succeeded"


def test_an_action_that_stops_ends_a_call_alone(world: World) -> None:
    actions = ["approve", {"name": "defer", "effect": "stop"}]
    world.operation(approval={"quorum": 2, "actions": actions}).ok()
    call = world.refund(900).ok(201)
    task = world.decider.get(f"tasks/{call['task']}").ok()
    assert person(world, "ann", task, "defer") == "completed"
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "rejected"


def test_an_operation_that_changes_voids_the_votes(world: World) -> None:
    world.operation(approval={"quorum": 2}).ok()
    call = world.refund(900).ok(201)
    task = world.decider.get(f"tasks/{call['task']}").ok()
    assert person(world, "ann", task) == "pending"
    world.operation(approval={"quorum": 2}, path="/ok/other").ok()
    assert person(world, "abe", task) == "pending"
    assert person(world, "ann", task) == "completed"


def test_the_policy_of_a_waiting_task_is_the_one_it_was_made_with(world: World) -> None:
    world.operation(approval={"quorum": 2}).ok()
    call = world.refund(900).ok(201)
    world.operation(approval={}).ok()
    assert world.decider.get(f"tasks/{call['task']}")["quorum"] == 2
    assert UserTask.objects.get(pk=call["task"]).policy["quorum"] == 2
