"""Tasks in a conversation: linked to messages, asked back, managed by a model that proposes."""

from collections.abc import Callable

import pytest

from assent_client import (
    Assent,
    InsufficientScope,
    Session,
    StaleRevision,
    StillWaiting,
    Task,
    TaskTools,
)
from assent_client._sync import tasks
from tests.client.conftest import PATIENCE, World, until


@pytest.fixture
def assent(world: World) -> Assent:
    return world.assent()


def test_a_question_back_is_read_and_answered(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Order", agent="support", draft="v0")
    person = world.decider.task(task.id)
    assert task.question() is None
    with pytest.raises(InsufficientScope):
        task.ask("me?")
    assert person.ask("Which parcel?").text == "Which parcel?"
    assert task.question() == "Which parcel?"
    said = task.information("The second one.", draft="v1")
    assert (said.type, said.revision) == ("information", 2)
    assert task.question() is None
    assert task.draft() == "v1"
    with pytest.raises(StaleRevision):
        person.approve(revision=1)
    person.info()
    person.approve()
    assert task.result(PATIENCE).final_work == "v1"


def test_a_question_back_is_answered_while_the_agent_waits(
    world: World, assent: Assent, meanwhile: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "QUESTION_SECONDS", 0.2)
    task = assent.tasks.start("Order", agent="support", draft="v0")
    person = world.decider.task(task.id)
    asked: list[str] = []

    def approve() -> None:
        until(lambda: any(item["type"] == "task.informed" for item in task.events()))
        person.approve(revision=2)

    def answer(question: str) -> str:
        asked.append(question)
        meanwhile(approve)
        return "The second one."

    person.ask("Which parcel?")
    result = task.result(PATIENCE, on_question=answer)
    assert result.performed_action == "approve"
    assert asked == ["Which parcel?"]
    said = [item["data"].get("text") for item in task.events() if item["type"] == "task.informed"]
    assert said == ["The second one."]
    with pytest.raises(StillWaiting):
        assent.tasks.create_and_wait("T", agent="support", wait=0.5, on_question=answer)


def test_a_comment_decides_nothing(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Order", agent="support")
    assert task.comment("I looked twice.").type == "comment"
    world.decider.task(task.id).comment("So did I.")
    info = task.info()
    assert (info.status, info.revision) == ("pending", 1)


def test_a_deadline_can_be_moved(world: World, assent: Assent) -> None:
    task = assent.tasks.start("Order", agent="support", timeout=60)
    before = task.info().due_at
    after = world.decider.task(task.id).extend(600).due_at
    assert before is not None
    assert after is not None
    assert (after - before).total_seconds() == 600


def test_definitions_come_in_the_shape_of_each_vendor() -> None:
    tools = TaskTools(Assent("http://assent.test", "key").session("s1"))
    openai = tools.definitions("openai")
    assert [tool["function"]["name"] for tool in openai] == [
        "get_task_info",
        "update_draft",
        "propose_action",
    ]
    assert tools.definitions("anthropic")[1]["input_schema"]["required"] == ["draft"]
    assert tools.definitions("mcp")[2]["inputSchema"]["properties"].keys() == {"action", "comment"}
    with pytest.raises(ValueError, match="openai, anthropic, mcp"):
        tools.definitions("other")


@pytest.fixture
def session(assent: Assent, job: str) -> Session:
    return assent.open_session("support", key=job).open()


@pytest.fixture
def task(session: Session) -> Task:
    run = session.open_run().open()
    task = run.tasks.start("High-value order", draft="900 €", actions=["approve", "hold"])
    run.message("I found a high-value order.", scope="orders", task=task)
    run.message("Anything else?", role="user", scope="orders")
    return task


def test_the_newest_linked_message_says_which_task_is_meant(session: Session, task: Task) -> None:
    found = session.last_task("orders")
    assert found is not None
    assert found.id == task.id
    assert session.last_task() is None
    assert session.last_task("parcels") is None
    assert [item.id for item in session.pending_tasks("orders")] == [task.id]


def test_the_conversation_can_be_read(assent: Assent, task: Task) -> None:
    run = assent.run(task.info().run)
    said = list(run.messages())
    assert [(item.role, item.text, item.scope) for item in said] == [
        ("agent", "I found a high-value order.", "orders"),
        ("user", "Anything else?", "orders"),
    ]
    assert [item.task for item in said] == [task.id, None]
    assert {"message", "task"} <= {item["type"] for item in run.timeline()}


def test_a_model_reads_the_task_and_works_on_its_draft(session: Session, task: Task) -> None:
    tools = TaskTools(session, scope="orders")
    assert TaskTools(session).get_task_info() == "No task found"
    assert tools.call("get_task_info", {}) == (
        "Task: High-value order\nStatus: Pending\nAvailable Actions: approve, hold\nDraft: 900 €"
    )
    assert tools.call("update_draft", {"draft": "800 €"}) == "The draft is saved."
    assert "Draft: 800 €" in tools.get_task_info()
    assert tools.call("update_draft", {}) == "Missing argument: 'draft'."
    assert tools.call("approve", {}) == "There is no tool 'approve'."


def test_a_model_proposes_and_a_person_confirms(world: World, session: Session, task: Task) -> None:
    tools = TaskTools(session, scope="orders")
    with pytest.raises(LookupError):
        tools.confirm(world.decider)
    refused = tools.call("propose_action", {"action": "ship"})
    assert refused == "Not offered. Available Actions: approve, hold"
    said = tools.call("propose_action", {"action": "approve", "comment": "It is in stock."})
    assert said == "Proposed “approve”. It is done only when a person confirms it."
    assert task.info().is_pending
    with pytest.raises(InsufficientScope):
        tools.confirm(world.assent())
    assert task.info().is_pending
    done = tools.confirm(world.decider, on_behalf_of="zoe@example.com")
    assert (done.performed_action, done.comment) == ("approve", "It is in stock.")
    assert done.decided_by is not None
    assert done.decided_by.on_behalf_of == "zoe@example.com"
    assert "Status: Completed (approve)" in tools.get_task_info()
    assert tools.propose_action("hold") == "Nothing to propose: the task is completed."


def test_a_proposal_for_older_work_is_not_carried_out(
    world: World, session: Session, task: Task
) -> None:
    tools = TaskTools(session, scope="orders")
    tools.propose_action("approve")
    task.update_draft("9,000 €")
    with pytest.raises(StaleRevision):
        tools.confirm(world.decider)
    assert task.info().is_pending
