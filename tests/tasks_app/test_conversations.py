"""Messages, the task that they hint at, input, and the timeline of a run."""

from typing import Any
from uuid import UUID

import pytest

from tasks_app.kinds import Answer as Given
from tasks_app.models import Decision, Message, UserTask
from tasks_app.services.deciding import Decide, decide
from tests.api_client import Answer, Api
from tests.conftest import World

NONE = "01900000-0000-7000-8000-000000000000"


def ask(world: World, run: str, **members: object) -> Answer:
    return world.agent.post("tasks", {"run": run, "title": "Ship?", **members}).ok(201)


def post(world: World, run: str, text: str = "Hello", **members: object) -> Answer:
    body = {"role": "agent", "text": text, **members}
    return world.agent.post(f"runs/{run}/messages", body)


def session_of(world: World, run: str) -> str:
    return str(world.agent.get(f"runs/{run}")["session"])


def last(world: World, run: str, scope: str | None = None) -> tuple[Any, Any]:
    query = "" if scope is None else f"?scope={scope}"
    found = world.agent.get(f"sessions/{session_of(world, run)}/last-task{query}").ok()
    return found["task"], found["pending"]


def test_messages_are_kept_in_order(world: World) -> None:
    run = world.run()
    first = post(world, run, "One").ok(201)
    assert first.json == {
        "id": first["id"],
        "run": run,
        "role": "agent",
        "text": "One",
        "scope": "",
        "task": None,
        "created_at": first["created_at"],
    }
    second = post(world, run, "Two", role="user", scope="billing").ok(201)
    assert (second["role"], second["scope"]) == ("user", "billing")
    listed = world.decider.get(f"runs/{run}/messages").ok()
    assert listed["results"] == [first.json, second.json]
    page = world.decider.get(f"runs/{run}/messages?limit=1").ok()
    assert (page["results"], page["previous"]) == ([first.json], None)
    rest = world.decider.get(page["next"]).ok()
    assert (rest["results"], rest["next"]) == ([second.json], None)


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"role": "boss"}, "invalid_value", "role"),
        ({"text": "  "}, "invalid_value", "text"),
        ({"text": "x" * 20_001}, "too_long", "text"),
        ({"text": 1}, "invalid_value", "text"),
        ({"task": NONE}, "not_found", "task"),
        ({"task": "nonsense"}, "not_found", "task"),
        ({"scope": "x" * 201}, "too_long", "scope"),
        ({"more": 1}, "unknown_field", "more"),
    ],
)
def test_messages_that_do_not_fit(
    world: World, members: dict[str, object], code: str, field: str
) -> None:
    run = world.run()
    post(world, run, **{"text": "Hello", **members}).refused(422, code, field)
    assert Message.objects.count() == 0


def test_only_runtimes_write_and_foreigners_see_nothing(world: World) -> None:
    run = world.run()
    body = {"role": "user", "text": "approve"}
    world.decider.post(f"runs/{run}/messages", body).refused(403, "insufficient_scope")
    foreign = Api(world.cast.key("runs,read", name="foreign", workspace=world.cast.other))
    foreign.post(f"runs/{run}/messages", body).refused(404, "not_found")
    foreign.get(f"runs/{run}/messages").refused(404, "not_found")
    foreign.get(f"runs/{run}/timeline").refused(404, "not_found")
    foreign.get(f"sessions/{session_of(world, run)}/last-task").refused(404, "not_found")
    assert Message.objects.count() == 0


def test_a_repeated_post_is_one_message(world: World) -> None:
    run = world.run()
    body = {"role": "agent", "text": "Once"}
    first = world.agent.post(f"runs/{run}/messages", body, Idempotency_Key="k").ok(201)
    again = world.agent.post(f"runs/{run}/messages", body, Idempotency_Key="k").ok(200)
    assert (again.json, Message.objects.count()) == (first.json, 1)


def test_the_last_task_is_that_of_the_newest_linked_message_in_the_scope(world: World) -> None:
    run = world.run()
    assert last(world, run) == (None, [])
    one, two, other = (ask(world, run)["id"] for _ in range(3))
    post(world, run, task=one).ok(201)
    post(world, run, task=two).ok(201)
    post(world, run, task=other, scope="billing").ok(201)
    post(world, run, "No link").ok(201)
    assert last(world, run) == (two, [one, two])
    assert last(world, run, "") == (two, [one, two])
    assert last(world, run, "billing") == (other, [other])
    assert last(world, run, "elsewhere") == (None, [])
    world.decider.post(f"tasks/{two}/approve").ok()
    assert last(world, run) == (two, [one])
    session = session_of(world, run)
    world.agent.get(f"sessions/{session}/last-task?topic=x").refused(422, "unknown_filter")


def test_a_link_stays_within_its_session(world: World) -> None:
    task = ask(world, world.run())
    post(world, world.run(), task=task["id"]).refused(422, "not_found", "task")


def test_posting_never_decides(world: World) -> None:
    run = world.run()
    task = ask(world, run)
    for text in ("approve", "yes", '{"action": "approve"}'):
        post(world, run, text, role="user", task=task["id"]).ok(201)
    assert world.agent.get(f"tasks/{task['id']}")["status"] == "pending"
    assert Decision.objects.count() == 0


def give(world: World, run: str, **members: object) -> Answer:
    return world.decider.post(f"runs/{run}/input", members)


def test_input_decides_the_only_pending_task(world: World) -> None:
    run = world.run()
    task = ask(world, run)
    done = give(world, run, action="approve", comment="Fine.", metadata={"a": 1}).ok()
    assert done["message"] is None
    assert (done["task"]["id"], done["task"]["outcome"]["action"]) == (task["id"], "approve")
    assert done["task"]["metadata"] == {"a": 1}
    give(world, run, action="approve").refused(409, "no_pending_task")


def test_input_for_several_tasks_must_name_one(world: World) -> None:
    run = world.run()
    one, two = ask(world, run)["id"], ask(world, run)["id"]
    refusal = give(world, run, action="approve").refused(409, "ambiguous_task")
    assert refusal["tasks"] == [one, two]
    assert Decision.objects.count() == 0
    assert give(world, run, task=two, action="reject").ok()["task"]["id"] == two
    assert give(world, run, action="approve").ok()["task"]["id"] == one


def test_what_only_the_back_office_may_complete_does_not_count(world: World) -> None:
    run = world.run()
    escalation = ask(world, run, kind="aitl_escalation")
    give(world, run, action="answer", value="x").refused(409, "no_pending_task")
    task = ask(world, run)
    assert give(world, run, action="approve").ok()["task"]["id"] == task["id"]
    named = give(world, run, task=escalation["id"], action="decline")
    named.refused(403, "dashboard_only")


def test_a_text_alone_answers_a_text_task_and_nothing_else(world: World) -> None:
    run = world.run()
    approval = ask(world, run)
    said = give(world, run, text="approve").ok()
    assert (said["task"], said["message"]["role"]) == (None, "user")
    assert said["message"]["text"] == "approve"
    assert world.agent.get(f"tasks/{approval['id']}")["status"] == "pending"
    question = ask(world, run, kind="text")
    done = give(world, run, text="Berlin").ok()
    assert (done["task"]["id"], done["task"]["outcome"]["value"]) == (question["id"], "Berlin")
    assert done["message"] is None
    give(world, run, task=approval["id"], text="approve").refused(422, "invalid_value", "text")
    assert world.agent.get(f"tasks/{approval['id']}")["status"] == "pending"


def test_two_text_tasks_are_ambiguous(world: World) -> None:
    run = world.run()
    ids = [ask(world, run, kind="text")["id"] for _ in range(2)]
    assert give(world, run, text="Berlin").refused(409, "ambiguous_task")["tasks"] == ids
    assert Message.objects.count() == 0


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({}, "required", "action"),
        ({"comment": None, "metadata": {}}, "required", "action"),
        ({"text": " "}, "invalid_value", "text"),
        ({"text": "x", "action": "approve"}, "invalid_value", "text"),
        ({"task": NONE, "action": "approve"}, "not_found", "task"),
        ({"action": "ship"}, "unknown_action", "action"),
        ({"value": 3}, "unknown_action", "action"),
        ({"comment": "Fine."}, "unknown_action", "action"),
        ({"decision": "approve"}, "unknown_field", "decision"),
    ],
)
def test_input_that_means_nothing(
    world: World, members: dict[str, object], code: str, field: str
) -> None:
    run = world.run()
    ask(world, run)
    give(world, run, **members).refused(422, code, field)
    assert (Decision.objects.count(), Message.objects.count()) == (0, 0)


def test_a_task_of_another_run_is_none_of_this_one(world: World) -> None:
    other = ask(world, world.run())
    give(world, world.run(), task=other["id"], action="approve").refused(422, "not_found", "task")


def test_input_needs_the_scope_for_decisions(world: World) -> None:
    run = world.run()
    ask(world, run)
    body = {"action": "approve"}
    world.agent.post(f"runs/{run}/input", body).refused(403, "insufficient_scope")
    assert Decision.objects.count() == 0


def test_input_on_changed_work_names_its_revision(world: World) -> None:
    run = world.run()
    task = ask(world, run, draft="v0")
    world.agent.put(f"tasks/{task['id']}/draft", {"draft": "v1", "revision": 1}).ok()
    refusal = give(world, run, action="approve").refused(428, "revision_required")
    assert refusal["task"]["revision"] == 2
    assert give(world, run, action="approve", revision=2).ok()["task"]["status"] == "completed"


def test_repeated_input_decides_once(world: World) -> None:
    run = world.run()
    ask(world, run)
    body = {"action": "approve"}
    first = world.decider.post(f"runs/{run}/input", body, Idempotency_Key="k").ok()
    again = world.decider.post(f"runs/{run}/input", body, Idempotency_Key="k").ok()
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")


def walk(world: World, run: str, limit: int) -> list[Any]:
    items, address = [], f"runs/{run}/timeline?limit={limit}"
    while address:
        page = world.agent.get(address).ok()
        items += page["results"]
        address = page["next"]
    return items


def test_the_timeline_tells_everything_in_order(world: World) -> None:
    run = world.run()
    post(world, run, "I need a refund.").ok(201)
    call = world.refund(900, run).ok(201)
    child = world.agent.post("runs", {"session": session_of(world, run), "parent_run": run}).ok(201)
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    items = walk(world, run, 100)
    assert [item["at"] for item in items] == sorted(item["at"] for item in items)
    assert {item["type"] for item in items} == {"run", "message", "tool_call", "task", "event"}
    by_type = {kind: [i for i in items if i["type"] == kind] for kind in ("run", "task", "event")}
    assert [item["id"] for item in by_type["run"]] == [run, child["id"]]
    assert [item["id"] for item in by_type["task"]] == [call["task"]]
    events = [item["event"] for item in by_type["event"]]
    assert events.index("task.created") < events.index("task.completed")
    assert "message.posted" not in events
    for limit in (1, 2, 3):
        assert walk(world, run, limit) == items
    page = world.agent.get(f"runs/{run}/timeline?limit=2").ok()
    second = world.agent.get(page["next"]).ok()
    assert world.agent.get(second["previous"]).ok()["results"] == page["results"]


def test_sensitive_arguments_stay_masked_in_the_timeline(world: World) -> None:
    world.operation(sensitive=["/charge"]).ok()
    run = world.run()
    world.refund(900, run).ok(201)
    assert "ch_1" not in world.agent.get(f"runs/{run}/timeline").text


def escalate(world: World) -> tuple[str, str, Answer]:
    run = world.run()
    session = session_of(world, run)
    child = world.agent.post("runs", {"session": session, "parent_run": run}).ok(201)["id"]
    task = ask(world, child, kind="aitl_escalation", title="Which customer?")
    return run, child, task


def test_the_answer_reaches_the_run_that_asked(world: World) -> None:
    run, child, task = escalate(world)
    row = UserTask.objects.get(pk=task["id"])
    assert (str(row.asking_run_id), row.run_chain) == (child, [run])
    act = Decide(Given("answer", "The one in Berlin."))
    decide(world.cast.actor("ann"), row.pk, None, lambda: act)
    (message,) = world.agent.get(f"runs/{child}/messages")["results"]
    assert (message["role"], message["text"], message["task"]) == (
        "user",
        "The one in Berlin.",
        task["id"],
    )
    assert world.agent.get(f"tasks/{task['id']}/result")["value"] == "The one in Berlin."
    assert world.agent.get(f"runs/{run}/messages")["results"] == []


def test_the_run_that_asked_learns_that_nobody_will_say(world: World) -> None:
    _, child, task = escalate(world)
    act = Decide(Given("decline", comment="Not ours."))
    decide(world.cast.actor("ann"), UUID(task["id"]), None, lambda: act)
    (message,) = world.agent.get(f"runs/{child}/messages")["results"]
    assert message["text"] == "declined: Not ours."
    result = world.agent.get(f"tasks/{task['id']}/result")
    assert (result["performed_action"], result["comment"]) == ("decline", "Not ours.")


def test_a_question_back_is_said_in_the_run(world: World) -> None:
    run = world.run()
    task = ask(world, run)
    world.decider.post(f"tasks/{task['id']}/ask", {"question": "Which one?"}).ok(201)
    (message,) = world.agent.get(f"runs/{run}/messages")["results"]
    assert (message["text"], message["task"]) == ("Which one?", task["id"])
