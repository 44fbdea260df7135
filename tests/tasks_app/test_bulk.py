"""Many decisions at once: an answer per item, in the order given."""

from tasks_app.models import Decision, UserTask
from tests.api_client import Answer
from tests.conftest import World


def ask(world: World, **members: object) -> Answer:
    return world.agent.post("tasks", {"agent": "support", "title": "Ship?", **members}).ok(201)


def item(task: Answer, action: object = "approve", revision: object = 1) -> dict[str, object]:
    return {"task": task["id"], "action": action, "revision": revision}


def bulk(world: World, *items: object) -> list[tuple[object, int, object]]:
    answer = world.decider.post("tasks/bulk-complete", {"items": list(items)}).ok()
    return [(row["task"], row["status"], row["code"]) for row in answer["results"]]


def test_each_item_has_its_own_answer(world: World) -> None:
    good, other, stale, closed = (ask(world) for _ in range(4))
    odd = ask(world, actions=["ship", "hold"])
    world.decider.put(f"tasks/{stale['id']}/draft", {"draft": 1, "revision": 1}).ok()
    world.decider.post(f"tasks/{closed['id']}/reject").ok()
    unknown = {"task": "01900000-0000-7000-8000-000000000000", "action": "approve", "revision": 1}
    assert bulk(
        world,
        item(good),
        item(stale),
        item(good, "reject"),
        item(closed),
        unknown,
        {"task": "nonsense", "action": "approve", "revision": 1},
        item(odd),
        item(other, "reject"),
        item(other, None),
        {**item(odd, "ship"), "draft": 1},
        {"task": odd["id"], "action": "ship"},
        item(odd, "hold"),
    ) == [
        (good["id"], 200, None),
        (stale["id"], 409, "stale_revision"),
        (good["id"], 409, "already_completed"),
        (closed["id"], 409, "already_completed"),
        (unknown["task"], 404, "not_found"),
        ("nonsense", 404, "not_found"),
        (odd["id"], 422, "unknown_action"),
        (other["id"], 200, None),
        (other["id"], 409, "already_completed"),
        (odd["id"], 422, "unknown_field"),
        (odd["id"], 428, "revision_required"),
        (odd["id"], 200, None),
    ]
    assert UserTask.objects.get(pk=stale["id"]).status == "pending"
    assert Decision.objects.count() == 4


def test_a_revision_of_a_wrong_type_is_answered_as_it_would_be_alone(world: World) -> None:
    task, changed, closed = (ask(world) for _ in range(3))
    world.decider.put(f"tasks/{changed['id']}/draft", {"draft": 1, "revision": 1}).ok()
    world.decider.post(f"tasks/{closed['id']}/reject").ok()
    for wrong in ("1", 1.0, True):
        for each, status, code in (
            (task, 422, "invalid_value"),
            (changed, 422, "invalid_value"),
            (closed, 409, "already_completed"),
        ):
            assert bulk(world, item(each, revision=wrong)) == [(each["id"], status, code)]
            body = {"action": "approve", "revision": wrong}
            world.decider.post(f"tasks/{each['id']}/complete", body).refused(status, code)
    assert bulk(world, item(task, revision=None)) == [(task["id"], 428, "revision_required")]


def test_a_hundred_at_most_and_one_at_least(world: World) -> None:
    task = ask(world)
    too_many = {"items": [item(task)] * 101}
    world.decider.post("tasks/bulk-complete", too_many).refused(422, "too_long", "items")
    world.decider.post("tasks/bulk-complete", {"items": []}).refused(422, "required", "items")
    world.decider.post("tasks/bulk-complete", {}).refused(422, "required", "items")
    world.decider.post("tasks/bulk-complete", {"items": [7]}).refused(422, "invalid_value")
    assert Decision.objects.count() == 0


def test_only_deciders_decide_in_bulk(world: World) -> None:
    task = ask(world)
    body = {"items": [item(task)]}
    world.agent.post("tasks/bulk-complete", body).refused(403, "insufficient_scope")
    world.admin.post("tasks/bulk-complete", body).refused(403, "insufficient_scope")
    assert Decision.objects.count() == 0


def test_kinds_of_the_back_office_stay_there(world: World) -> None:
    task = ask(world, kind="aitl_escalation")
    assert bulk(world, item(task, "decline")) == [(task["id"], 403, "dashboard_only")]
