"""Operations as tool definitions for a model, in the shapes of its vendors (pure)."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from integrations_app.states import Effect

MAX_NAME: Final = 64  # OpenAI's limit, the narrowest
MAX_DESCRIPTION: Final = 1024  # OpenAI's, too
ASKS_FIRST: Final = "A person may have to approve this call before it is made."
_NOT_AT_THE_TOP: Final = ("anyOf", "oneOf", "allOf", "not", "enum", "const", "if", "then", "else")


@dataclass(frozen=True, slots=True)
class Described:
    """What a tool says about its operation."""

    reference: str
    title: str
    description: str
    parameters: Mapping[str, Any]
    effect: str
    asks_first: bool


def name_of(reference: str, taken: Iterable[str] = ()) -> str:
    """The tool's name: `integration__operation`.

    Args:
        reference: `integration.operation`.
        taken: names that are in use; a clash, as a name over 64 characters, ends in a digest.
    """
    plain = reference.replace(".", "__", 1)
    if len(plain) <= MAX_NAME and plain not in taken:
        return plain
    mark = hashlib.sha256(reference.encode()).hexdigest()[:8]
    return f"{plain[: MAX_NAME - 9]}_{mark}"


def schema_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as every vendor takes it: an object, without alternatives at the top.

    The model sees less than is checked; the call's arguments are checked by the whole schema.
    """
    kept = {name: value for name, value in parameters.items() if name not in _NOT_AT_THE_TOP}
    kept.pop("$schema", None)
    kept.pop("$id", None)
    return {**kept, "type": "object", "properties": dict(kept.get("properties", {}))}


def _text(tool: Described) -> str:
    said = tool.description.strip() or tool.title
    if not tool.asks_first:
        return said[:MAX_DESCRIPTION]
    said = said[: MAX_DESCRIPTION - len(ASKS_FIRST) - 2]
    stop = "" if said.endswith((".", "!", "?", ":", "…")) else "."
    return f"{said}{stop} {ASKS_FIRST}"


def _openai(name: str, tool: Described) -> dict[str, Any]:
    function = {"name": name, "description": _text(tool), "parameters": schema_of(tool.parameters)}
    return {"type": "function", "function": function}


def _anthropic(name: str, tool: Described) -> dict[str, Any]:
    return {"name": name, "description": _text(tool), "input_schema": schema_of(tool.parameters)}


def _mcp(name: str, tool: Described) -> dict[str, Any]:
    return {
        "name": name,
        "title": tool.title,
        "description": _text(tool),
        "inputSchema": schema_of(tool.parameters),
        "annotations": {
            "title": tool.title,
            "readOnlyHint": tool.effect == Effect.READ,
            "destructiveHint": tool.effect != Effect.READ,
            "idempotentHint": tool.effect != Effect.ONCE,
            "openWorldHint": True,
        },
    }


FORMATS: Final[Mapping[str, Callable[[str, Described], dict[str, Any]]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "mcp": _mcp,
}


def catalogue(described: Iterable[Described], shape: str) -> dict[str, Any]:
    """Tool definitions, and which operation each name stands for.

    Args:
        described: the operations.
        shape: one of FORMATS.
    """
    names: dict[str, str] = {}
    tools = []
    for tool in described:
        name = name_of(tool.reference, names)
        names[name] = tool.reference
        tools.append(FORMATS[shape](name, tool))
    return {"tools": tools, "operations": names}
