"""Small words that the shapes are written in: JSON Schema, draft 2020-12."""

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
ID: Schema = {"type": "string", "format": "uuid", "description": "An opaque id."}
SLUG: Schema = {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$", "maxLength": 60}
MOMENT: Schema = {"type": "string", "format": "date-time", "description": "In UTC, with Z."}
URL: Schema = {"type": "string", "format": "uri"}
JSON: Schema = {"description": "Any JSON value."}
OBJECT: Schema = {"type": "object", "additionalProperties": True}
DIGEST: Schema = {"type": "string", "description": "SHA-256."}

# What the examples speak of.
SESSION_ID = "01900000-0000-7000-8000-000000000001"
RUN_ID = "01900000-0000-7000-8000-000000000002"
CALL_ID = "01900000-0000-7000-8000-000000000003"
TASK_ID = "01900000-0000-7000-8000-000000000004"
KEY_ID = "01900000-0000-7000-8000-000000000005"
OTHER_ID = "01900000-0000-7000-8000-000000000006"
THEN = "2026-01-02T03:04:05.000006Z"
LATER = "2026-01-02T03:05:00.000000Z"
SITE = "https://assent.example.com/admin/review"


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def null(schema: Schema) -> Schema:
    """The same, or null."""
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(values: Iterable[Any]) -> Schema:
    return {"type": "string", "enum": [str(value) for value in values]}


def many(schema: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": schema, **more}


def text(longest: int, *, blank: bool = True) -> Schema:
    return {"type": "string", "maxLength": longest, **({} if blank else {"minLength": 1})}


def shape(
    members: dict[str, Schema], maybe: dict[str, Schema] | None = None, **more: Any
) -> Schema:
    """An object with these members, and perhaps those; answers may gain members, never lose any."""
    found: Schema = {
        "type": "object",
        "properties": {**members, **(maybe or {})},
        "required": list(members),
        **more,
    }
    return found if members else {k: v for k, v in found.items() if k != "required"}


def closed(members: dict[str, Schema], maybe: dict[str, Schema] | None = None) -> Schema:
    """A part of a body: an unknown member is refused."""
    return shape(members, maybe, additionalProperties=False)
