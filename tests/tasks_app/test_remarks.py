"""Comments, questions back, information, metadata, more time: nothing of it decides."""

from collections.abc import Callable

import pytest

from accounts_app.models import AuditEntry
from tasks_app.models import Comment, UserTask
from tasks_app.services.remarks import comment, comments
from tests.api_client import Answer, Api
from tests.conftest import World


def ask(world: World, **members: object) -> Answer:
    return world.agent.post("tasks", {"agent": "support", "title": "Ship?", **members}).ok(201)


def test_a_comment_decides_nothing_and_leaves_the_revision(world: World) -> None:
    task = ask(world)
    said = world.decider.post(f"tasks/{task['id']}/comments", {"text": "Looking."}).ok(201)
    assert (said["type"], said["text"], said["by"]["name"]) == ("comment", "Looking.", "decider")
    world.agent.post(f"tasks/{task['id']}/comments", {"text": "Thanks."}).ok(201)
    shown = world.decider.get(f"tasks/{task['id']}")
    assert (shown["status"], shown["revision"]) == ("pending", 1)
    world.decider.post(f"tasks/{task['id']}/approve", {"revision": 1}).ok()
    ann = world.cast.actor("ann")
    kept = comments(ann, UserTask.objects.get(pk=task["id"]).pk)
    assert [row.text for row in kept] == ["Looking.", "Thanks."]


def test_asked_back_and_answered(world: World) -> None:
    task = ask(world, draft="v0")
    path = f"tasks/{task['id']}"
    asked = world.decider.post(f"{path}/ask", {"question": "Whose parcel?"}).ok(201)
    assert (asked["type"], asked["text"], asked["revision"]) == ("question", "Whose parcel?", 1)
    assert UserTask.objects.get(pk=task["id"]).question == "Whose parcel?"
    events = world.agent.get(f"{path}/events")["results"]
    assert (events[-1]["type"], events[-1]["data"]["text"]) == ("task.asked", "Whose parcel?")
    told = world.agent.post(f"{path}/information", {"text": "Ann's.", "draft": "v1"}).ok(201)
    assert (told["type"], told["revision"]) == ("information", 2)
    shown = world.decider.get(path)
    assert (shown["status"], shown["draft"], shown["revision"]) == ("pending", "v1", 2)
    assert UserTask.objects.get(pk=task["id"]).question is None
    world.decider.post(f"{path}/approve").refused(428, "revision_required")
    world.decider.post(f"{path}/approve", {"revision": 2}).ok()


def test_information_alone_raises_the_revision(world: World) -> None:
    task = ask(world)
    world.agent.post(f"tasks/{task['id']}/information", {"text": "It is urgent."}).ok(201)
    assert world.decider.get(f"tasks/{task['id']}")["revision"] == 2
    body = {"revision": 1}
    world.decider.post(f"tasks/{task['id']}/approve", body).refused(409, "stale_revision")


@pytest.mark.parametrize(
    ("who", "path", "body"),
    [
        ("agent", "ask", {"question": "Why?"}),
        ("decider", "information", {"text": "Because."}),
        ("agent", "extend", {"timeout_seconds": 60}),
    ],
)
def test_each_side_has_its_own_acts(
    world: World, who: str, path: str, body: dict[str, object]
) -> None:
    task = ask(world, timeout_seconds=600)
    side = getattr(world, who)
    side.post(f"tasks/{task['id']}/{path}", body).refused(403, "insufficient_scope")
    reader = Api(world.cast.key("read", name="reader"))
    reader.post(f"tasks/{task['id']}/{path}", body).refused(403, "insufficient_scope")
    reader.post(f"tasks/{task['id']}/comments", {"text": "x"}).refused(403, "insufficient_scope")
    reader.patch(f"tasks/{task['id']}/metadata", {"a": 1}).refused(403, "insufficient_scope")
    assert Comment.objects.count() == 0
    assert world.decider.get(f"tasks/{task['id']}").json == task.json


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("comments", {"text": " "}, "text"),
        ("comments", {}, "text"),
        ("comments", {"text": 4}, "text"),
        ("ask", {"question": ""}, "question"),
        ("ask", {"text": "?"}, "text"),
    ],
)
def test_blank_or_odd_remarks_are_refused(
    world: World, path: str, body: object, field: str
) -> None:
    task = ask(world)
    refusal = world.decider.post(f"tasks/{task['id']}/{path}", body)
    assert refusal.status == 422
    assert field in [error["field"] for error in refusal["errors"]]
    assert Comment.objects.count() == 0


def test_remarks_on_a_decided_task_come_too_late(world: World) -> None:
    task = ask(world, timeout_seconds=600)
    world.decider.post(f"tasks/{task['id']}/approve").ok()
    path = f"tasks/{task['id']}"
    world.decider.post(f"{path}/comments", {"text": "x"}).refused(409, "already_completed")
    world.decider.post(f"{path}/ask", {"question": "x"}).refused(409, "already_completed")
    world.agent.post(f"{path}/information", {"text": "x"}).refused(409, "already_completed")
    world.decider.patch(f"{path}/metadata", {"a": 1}).refused(409, "already_completed")
    late = world.decider.post(f"{path}/extend", {"timeout_seconds": 60})
    assert late.refused(409, "already_completed")["task"]["outcome"]["action"] == "approve"
    assert Comment.objects.count() == 0


def test_whoever_sees_a_task_masked_cannot_comment(world: World) -> None:
    task = UserTask.objects.get(pk=ask(world)["id"])
    with pytest.raises(Exception, match="masked only"):
        comment(world.cast.actor("bob"), task.pk, lambda: "Hello")
    assert comment(world.cast.actor("ann"), task.pk, lambda: "Hello").channel == "backoffice"
    assert Comment.objects.count() == 1


def test_metadata_is_merged_at_the_top_level(world: World) -> None:
    task = ask(world, metadata={"a": 1, "b": {"x": 1}})
    path = f"tasks/{task['id']}/metadata"
    shown = world.agent.patch(path, {"b": {"y": 2}, "c": 3}).ok()
    assert shown["metadata"] == {"a": 1, "b": {"y": 2}, "c": 3}
    assert (shown["status"], shown["revision"]) == ("pending", 1)
    world.agent.patch(path, {}).refused(422, "required")
    world.agent.patch(path).refused(422, "required")
    world.agent.patch(path, [1]).refused(422, "invalid_value")
    assert world.agent.get(f"tasks/{task['id']}")["metadata"] == {"a": 1, "b": {"y": 2}, "c": 3}


def test_the_deadline_moves_while_it_has_not_passed(
    world: World, move_clock: Callable[[float], None]
) -> None:
    task = ask(world, timeout_seconds=60)
    path = f"tasks/{task['id']}"
    assert world.decider.post(f"{path}/extend", {"timeout_seconds": 3600}).ok()["revision"] == 1
    move_clock(61)
    assert world.decider.get(path)["status"] == "pending"
    world.decider.post(f"{path}/comments", {"text": "Still open."}).ok(201)
    move_clock(3600)
    world.decider.post(f"{path}/extend", {"timeout_seconds": 60}).refused(409, "deadline_passed")
    world.decider.post(f"{path}/approve").refused(409, "deadline_passed")
    assert AuditEntry.objects.filter(verb="task.extended").count() == 1


@pytest.mark.parametrize(
    ("members", "body", "code"),
    [
        ({}, {"timeout_seconds": 60}, "invalid_value"),
        ({"timeout_seconds": 60}, {"timeout_seconds": 0}, "invalid_value"),
        ({"timeout_seconds": 60}, {"timeout_seconds": "60"}, "invalid_value"),
        ({"timeout_seconds": 60}, {"timeout_seconds": 31_536_000}, "invalid_value"),
        ({"timeout_seconds": 60}, {}, "required"),
    ],
)
def test_an_extension_that_makes_no_sense(
    world: World, members: dict[str, object], body: object, code: str
) -> None:
    task = ask(world, **members)
    world.decider.post(f"tasks/{task['id']}/extend", body).refused(422, code, "timeout_seconds")
    assert world.decider.get(f"tasks/{task['id']}")["due_at"] == task["due_at"]
