"""The catalogue as tools, taken by the vendors' own packages."""

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from assent_client import CallTools, TaskTools
from assent_client.testing import FakeAssent
from integrations_app.tools import ASKS_FIRST, name_of
from tests.api_client import Api
from tests.conftest import World

AWKWARD: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "charge": {"$ref": "#/$defs/charge"},
        "parts": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["charge"],
    "additionalProperties": False,
    "oneOf": [{"required": ["parts"]}, {"not": {"required": ["parts"]}}],
    "$defs": {"charge": {"type": "string", "pattern": "^ch_"}},
}


def fetch(world: World, shape: str) -> dict[str, Any]:
    return dict(world.agent.get(f"operations/tools?format={shape}").ok().json)


def schemas(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {}
    for tool in body["tools"]:
        inner = tool.get("function", tool)
        schema = inner.get("parameters") or inner.get("input_schema") or inner["inputSchema"]
        found[inner["name"]] = schema
    return found


def check_by_vendor(shape: str, tools: list[dict[str, Any]]) -> None:
    """Assert that the vendor's own package reads the tools, and loses nothing of them.

    The packages take seconds to import: here, so that other test processes do without.
    """
    if shape == "openai":
        from openai.types.chat import ChatCompletionToolParam

        assert TypeAdapter(list[ChatCompletionToolParam]).validate_python(tools) == tools
    elif shape == "anthropic":
        from anthropic.types import ToolParam

        assert TypeAdapter(list[ToolParam]).validate_python(tools) == tools
    else:
        from mcp.types import ListToolsResult

        read = ListToolsResult.model_validate({"tools": tools})
        assert read.model_dump(by_alias=True, exclude_none=True, mode="json")["tools"] == tools


@pytest.mark.parametrize("shape", ["openai", "anthropic", "mcp"])
def test_the_vendors_own_types_take_the_tools_of_the_client(shape: str) -> None:
    fake = FakeAssent("support")
    parameters = {"type": "object", "properties": {"amount": {"type": "number"}}}
    fake.operation("payments.refund", lambda _: {}, parameters=parameters)
    with fake.client().open_session("support") as session, session.open_run() as run:
        check_by_vendor(shape, TaskTools(session).definitions(shape))
        check_by_vendor(shape, CallTools(run).definitions(shape))


@pytest.mark.parametrize("shape", ["openai", "anthropic", "mcp"])
def test_the_vendors_own_types_take_the_tools(world: World, shape: str) -> None:
    world.operation(parameters=AWKWARD, description="Sends money back.", approval=None).ok()
    body = fetch(world, shape)
    check_by_vendor(shape, body["tools"])
    assert list(body["operations"].values()) == [
        "payments.charge_lookup",
        "payments.refund",
        "payments.send_receipt",
    ]
    for name, schema in schemas(body).items():
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        assert not {"oneOf", "anyOf", "allOf", "not", "enum"} & schema.keys()
    refund = schemas(body)["payments__refund"]
    assert Draft202012Validator(refund).is_valid({"charge": "ch_1"})
    assert not Draft202012Validator(refund).is_valid({"charge": "no"})


def test_a_description_ends_before_the_next_sentence(world: World) -> None:
    world.operation(description="Sends money back").ok()
    by_name = {tool["name"]: tool for tool in fetch(world, "mcp")["tools"]}
    assert by_name["payments__refund"]["description"] == f"Sends money back. {ASKS_FIRST}"


def test_what_a_tool_says(world: World) -> None:
    world.operation(description="Sends money back.").ok()
    by_name = {tool["name"]: tool for tool in fetch(world, "mcp")["tools"]}
    refund, lookup = by_name["payments__refund"], by_name["payments__charge_lookup"]
    assert refund["description"] == (
        "Sends money back. A person may have to approve this call before it is made."
    )
    assert lookup["description"] == "Look up a charge"
    assert (refund["annotations"]["readOnlyHint"], lookup["annotations"]["readOnlyHint"]) == (
        False,
        True,
    )
    assert refund["annotations"]["idempotentHint"] is False


def test_only_what_is_enabled(world: World) -> None:
    world.operation("send_receipt", enabled=False).ok()
    assert list(fetch(world, "openai")["operations"]) == [
        "payments__charge_lookup",
        "payments__refund",
    ]
    stranger = Api(world.cast.key("runs", name="theirs", workspace=world.cast.other))
    assert stranger.get("operations/tools?format=mcp").ok().json == {"tools": [], "operations": {}}


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("format=cohere", "invalid_value", "format"),
        ("format=", "invalid_value", "format"),
        ("", "required", "format"),
        ("format=openai&x=1", "unknown_filter", "x"),
    ],
)
def test_formats_that_there_are_not(world: World, query: str, code: str, field: str) -> None:
    world.agent.get(f"operations/tools?{query}").refused(422, code, field)


def test_long_and_clashing_names() -> None:
    long = f"{'a' * 60}.{'b' * 60}"
    assert len(name_of(long)) == 64
    assert name_of(long) != name_of(f"{'a' * 60}.{'c' * 60}")
    assert name_of("a__b.c") == "a__b__c"
    assert name_of("a.b__c", ["a__b__c"]) != "a__b__c"
