"""Checks arguments against JSON Schema, in the fake: what operations use of it (pure)."""

from collections.abc import Iterator, Mapping
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
CHECKED = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
}
SAID = {"$schema", "title", "description", "default", "examples", "format", "deprecated"}
Fault = tuple[str, str, str]


def check_schema(schema: Any, at: str = "parameters") -> None:
    """Refuse a schema that the fake would only pretend to check.

    Raises:
        ValueError: it has a keyword that the fake does not know.
    """
    if not isinstance(schema, Mapping):
        raise ValueError(f"{at} must be an object.")
    for keyword in schema:
        if keyword not in CHECKED | SAID:
            raise ValueError(f"The fake does not check {keyword!r} in {at}; leave it out.")
    for name, inner in schema.get("properties", {}).items():
        check_schema(inner, f"{at}/properties/{name}")
    if isinstance(schema.get("items"), Mapping):
        check_schema(schema["items"], f"{at}/items")
    if isinstance(schema.get("additionalProperties"), Mapping):
        check_schema(schema["additionalProperties"], f"{at}/additionalProperties")


def faults(schema: Mapping[str, Any], value: Any, at: str) -> Iterator[Fault]:
    """What is wrong with a value: a pointer to each place, its code, and a sentence."""
    if "type" in schema and not _is(value, schema["type"]):
        yield at, "invalid_value", f"Must be of the type {schema['type']}."
        return
    if "enum" in schema and value not in schema["enum"]:
        yield at, "invalid_value", f"Must be one of {schema['enum']}."
    if "const" in schema and value != schema["const"]:
        yield at, "invalid_value", f"Must be {schema['const']!r}."
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number(schema, value, at)
    if isinstance(value, (str, list)):
        yield from _size(schema, value, at)
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from faults(schema.get("items", {}), item, f"{at}/{position}")
    if isinstance(value, Mapping):
        yield from _members(schema, value, at)


def _members(schema: Mapping[str, Any], value: Mapping[str, Any], at: str) -> Iterator[Fault]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}/{name}", "required", "This member is required."
    for name, item in value.items():
        if name in known:
            yield from faults(known[name], item, f"{at}/{name}")
        elif others is False:
            yield f"{at}/{name}", "unknown_field", "The operation does not know it."
        elif isinstance(others, Mapping):
            yield from faults(others, item, f"{at}/{name}")


def _number(schema: Mapping[str, Any], value: float, at: str) -> Iterator[Fault]:
    if value < schema.get("minimum", value) or value > schema.get("maximum", value):
        yield at, "invalid_value", "Is outside the limits."
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if (above is not None and value <= above) or (below is not None and value >= below):
        yield at, "invalid_value", "Is outside the limits."


def _size(schema: Mapping[str, Any], value: Any, at: str) -> Iterator[Fault]:
    least, most = ("minLength", "maxLength") if isinstance(value, str) else ("minItems", "maxItems")
    if not schema.get(least, 0) <= len(value) <= schema.get(most, len(value)):
        code = "too_long" if len(value) > schema.get(most, len(value)) else "invalid_value"
        yield at, code, "Its length is outside the limits."


def _is(value: Any, names: Any) -> bool:
    for name in [names] if isinstance(names, str) else names:
        if isinstance(value, bool):
            fits = name == "boolean"
        elif name == "integer":
            fits = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        else:
            fits = isinstance(value, TYPES[name])
        if fits:
            return True
    return False
