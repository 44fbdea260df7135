"""An example of an operation's arguments, made from its schema (pure)."""

from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 6
_BY_TYPE: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1,
    "boolean": True,
    "null": None,
}


def example_of(schema: Any, depth: int = 0) -> Any:
    """A value that a reader takes for a typical one; it need not fit every rule of the schema.

    Args:
        schema: a JSON Schema, or a part of one.
        depth: how deep the part stands.
    """
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return {} if depth == 0 else None
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("examples", "enum"):
        given = schema.get(name)
        if isinstance(given, list) and given:
            return given[0]
    kind = schema.get("type", "object" if depth == 0 or "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        return _object(schema, depth)
    if kind == "array":
        return [example_of(schema.get("items"), depth + 1)]
    if kind in ("integer", "number"):
        return _number(schema)
    return _BY_TYPE.get(str(kind), "text")


def _object(schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    members = schema.get("properties")
    if not isinstance(members, Mapping):
        return {}
    return {str(name): example_of(part, depth + 1) for name, part in members.items()}


def _number(schema: Mapping[str, Any]) -> Any:
    for name, step in (("minimum", 0), ("exclusiveMinimum", 1)):
        least = schema.get(name)
        if isinstance(least, (int, float)) and not isinstance(least, bool):
            return least + step
    return 1
