"""The work that is edited before a decision: revisions, history, and what is frozen."""

from collections.abc import Callable

import pytest

from accounts_app.models import AuditEntry
from tasks_app.models import DraftRevision, UserTask
from tasks_app.services.drafts import difference, history
from tasks_app.services.sweeping import sweep
from tests.api_client import Answer, Api
from tests.conftest import World


def ask(world: World, **members: object) -> Answer:
    body = {"agent": "support", "title": "Reply", "draft": "v0", **members}
    return world.agent.post("tasks", body).ok(201)


def save(world: World, task: Answer, draft: object, revision: int | None, **more: object) -> Answer:
    body = {"draft": draft, **more}
    if revision is not None:
        body["revision"] = revision
    return world.decider.put(f"tasks/{task['id']}/draft", body)


def unchanged(task: Answer) -> None:
    row = UserTask.objects.get(pk=task["id"])
    assert (row.status, row.draft, row.revision) == ("pending", task["draft"], task["revision"])


def test_saves_raise_the_revision_and_the_first_work_stays(world: World) -> None:
    task = ask(world)
    path = f"tasks/{task['id']}/draft"
    assert save(world, task, "Draft version 1", 1).ok().json == {
        "draft": "Draft version 1",
        "revision": 2,
    }
    assert save(world, task, "Draft version 2 - final", 2).ok()["revision"] == 3
    assert world.agent.get(path).ok().json == {"draft": "Draft version 2 - final", "revision": 3}
    shown = world.agent.get(f"tasks/{task['id']}")
    assert (shown["initial_work"], shown["draft"]) == ("v0", "Draft version 2 - final")
    done = world.decider.post(f"tasks/{task['id']}/approve", {"revision": 3}).ok()
    assert done["status"] == "completed"
    result = world.agent.get(f"tasks/{task['id']}/result")
    assert (result["initial_work"], result["final_work"]) == ("v0", "Draft version 2 - final")


def test_the_agent_may_save_the_work_of_its_own_task(world: World) -> None:
    task = ask(world)
    body = {"draft": {"text": "better"}, "revision": 1}
    assert world.agent.put(f"tasks/{task['id']}/draft", body).ok()["revision"] == 2


def test_a_stale_save_is_refused_with_the_present_text(world: World) -> None:
    task = ask(world)
    save(world, task, "theirs", 1).ok()
    refusal = save(world, task, "mine", 1).refused(409, "stale_revision")
    assert (refusal["draft"], refusal["revision"]) == ("theirs", 2)
    assert (refusal["task"]["draft"], refusal["task"]["revision"]) == ("theirs", 2)
    assert DraftRevision.objects.filter(task=task["id"], draft="mine").count() == 0


def test_a_save_names_its_revision(world: World) -> None:
    task = ask(world)
    save(world, task, "v1", None).refused(428, "revision_required")
    unchanged(task)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"revision": 1}, "required", "draft"),
        ({"draft": "x" * 262_145, "revision": 1}, "too_long", "draft"),
        ({"draft": "x", "revision": 1, "more": 1}, "unknown_field", "more"),
    ],
)
def test_a_save_that_does_not_fit(world: World, body: object, code: str, field: str) -> None:
    task = ask(world)
    world.decider.put(f"tasks/{task['id']}/draft", body).refused(422, code, field)
    unchanged(task)


def test_the_same_work_is_no_new_revision(world: World) -> None:
    task = ask(world, draft={"a": 1, "b": 2})
    assert save(world, task, {"b": 2, "a": 1}, 1).ok()["revision"] == 1
    assert save(world, task, {"b": 2, "a": 1.0}, 1).ok()["revision"] == 2
    assert save(world, task, {"b": 2, "a": True}, 2).ok()["revision"] == 3


def test_a_decided_task_is_frozen(world: World) -> None:
    task = ask(world)
    world.decider.post(f"tasks/{task['id']}/reject").ok()
    refusal = save(world, task, "late", 1).refused(409, "already_completed")
    assert refusal["task"]["outcome"]["action"] == "reject"
    assert UserTask.objects.get(pk=task["id"]).draft == "v0"


def test_a_late_save_is_refused_before_the_sweep(
    world: World, move_clock: Callable[[float], None]
) -> None:
    task = ask(world, timeout_seconds=60)
    move_clock(61)
    save(world, task, "late", 1).refused(409, "deadline_passed")
    unchanged(task)


def test_an_edited_task_is_decided_by_its_revision(world: World) -> None:
    task = ask(world)
    save(world, task, "v1", 1).ok()
    path = f"tasks/{task['id']}/approve"
    world.decider.post(path).refused(428, "revision_required")
    world.decider.post(path, {"revision": 1}).refused(409, "stale_revision")
    assert world.decider.post(path, {"revision": 2}).ok()["status"] == "completed"


def test_work_is_saved_and_decided_on_in_one_step(world: World) -> None:
    task = ask(world)
    body = {"action": "approve", "draft": "Draft version 3 - final", "revision": 1}
    done = world.decider.post(f"tasks/{task['id']}/complete", body).ok()
    assert (done["draft"], done["revision"]) == ("Draft version 3 - final", 2)
    result = world.agent.get(f"tasks/{task['id']}/result")
    assert result["final_work"] == "Draft version 3 - final"


def test_a_refused_decision_saves_no_work(world: World) -> None:
    task = ask(world)
    body = {"action": "ship", "draft": "v1", "revision": 1}
    world.decider.post(f"tasks/{task['id']}/complete", body).refused(422, "unknown_action")
    unchanged(task)
    assert DraftRevision.objects.filter(task=task["id"]).count() == 1


def test_the_history_names_each_author(world: World) -> None:
    task = ask(world)
    world.agent.put(f"tasks/{task['id']}/draft", {"draft": "v1", "revision": 1}).ok()
    save(world, task, "v2", 2).ok()
    kept = history(world.cast.actor("ann"), UserTask.objects.get(pk=task["id"]).pk)
    assert [(row.revision, row.draft, row.by["name"]) for row in kept] == [
        (1, "v0", "agent"),
        (2, "v1", "agent"),
        (3, "v2", "decider"),
    ]
    edits = AuditEntry.objects.filter(target_id=task["id"], verb="task.edited")
    assert edits.count() == 2


def test_a_difference_is_shown_by_lines() -> None:
    assert difference("a\nb", "a\nc") == [
        "--- initial",
        "+++ current",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]
    assert difference({"a": 1}, {"a": 1}) == []


def test_two_saves_and_a_time_out_leave_the_second(
    world: World, move_clock: Callable[[float], None]
) -> None:
    task = ask(world, timeout_seconds=60)
    save(world, task, "one", 1).ok()
    save(world, task, "two", 2).ok()
    move_clock(61)
    sweep(execute_here=False)
    result = world.agent.get(f"tasks/{task['id']}/result")
    assert (result["timed_out"], result["final_work"]) == (True, "two")


def test_others_cannot_save(world: World) -> None:
    task = ask(world)
    body = {"draft": "x", "revision": 1}
    path = f"tasks/{task['id']}/draft"
    reader = Api(world.cast.key("read", name="reader"))
    reader.put(path, body).refused(403, "insufficient_scope")
    foreign = Api(world.cast.key("runs,read", name="foreign", workspace=world.cast.other))
    foreign.put(path, body).refused(404, "not_found")
    foreign.get(path).refused(404, "not_found")
    unchanged(task)
