"""The operations as tools for a model."""

from collections.abc import Iterator
from typing import Any

import pytest

from assent_client import Assent, CallInfo, CallTools, Run
from tests.client.conftest import World


@pytest.fixture
def assent(world: World) -> Assent:
    return world.assent()


@pytest.fixture
def run(assent: Assent, job: str) -> Iterator[Run]:
    with assent.open_session("support", key=job) as session, session.open_run(key=job) as opened:
        yield opened


def names(tools: list[dict[str, Any]]) -> set[str]:
    return {tool.get("name") or tool["function"]["name"] for tool in tools}


def test_what_assent_performs_is_offered_and_called(world: World, run: Run, job: str) -> None:
    tools = CallTools(run)
    for format in ("openai", "anthropic", "mcp"):
        offered = names(tools.definitions(format))
        assert "payments__refund" in offered
        assert not [name for name in offered if name.startswith("local__")]
    said = tools.call("payments__refund", {"charge": job, "amount": 40}, key=job)
    assert '"amount": 40' in said
    assert tools.call("payments__refund", {"charge": job, "amount": 40}, key=job) == said
    assert len([item for item in world.refunds() if item["charge"] == job]) == 1
    assert tools.call("local__wipe", {"path": "/"}) == "There is no tool 'local__wipe'."


def test_what_goes_wrong_is_text_for_the_model(
    world: World, run: Run, job: str, meanwhile: Any
) -> None:
    def reject(call: CallInfo) -> None:
        world.decider.task(str(call.task)).reject("Ask for a photo first.")

    tools = CallTools(run, on_waiting=lambda call: meanwhile(lambda: reject(call), 0.1))
    assert tools.call("payments__refund", {"charge": job, "amount": 900}) == (
        "Not done: payments.refund rejected: Ask for a photo first."
    )
    assert tools.call("payments__nowhere", {"x": 1}).startswith("Not done: payments.nowhere failed")
    run.complete()
    assert tools.call("payments__refund", {"charge": job, "amount": 4}).startswith("Refused: ")


def test_a_gated_function_is_offered_as_its_operation(assent: Assent, run: Run) -> None:
    @assent.requires_approval("local.free")
    def add(a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    tools = CallTools(run, [add])
    assert "local__free" in names(tools.definitions())
    assert tools.call("local__free", {"a": 1, "b": 2}) == '{"sum": 3}'
