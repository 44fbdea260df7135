"""Tasks in a conversation: linked to messages, asked back, managed by a model that proposes."""

from collections.abc import Callable

import pytest

from assent_client import (
    Assent,
    InsufficientScope,
    StaleRevision,
    StillWaiting,
    TaskTools,
)
from assent_client._sync import tasks
from tests.client.conftest import World


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
    assert task.result(5).final_work == "v1"


def test_a_question_back_is_answered_while_the_agent_waits(
    world: World, assent: Assent, meanwhile: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "QUESTION_SECONDS", 0.2)
    task = assent.tasks.start("Order", agent="support", draft="v0")
    person = world.decider.task(task.id)
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        meanwhile(lambda: person.approve(revision=2), 0.4)
        return "The second one."

    person.ask("Which parcel?")
    result = task.result(20, on_question=answer)
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
