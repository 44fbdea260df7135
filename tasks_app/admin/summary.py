"""A call's arguments in one line, to tell calls of one operation apart in a list."""

import json

from integrations_app.models import ToolCall
from integrations_app.pointers import MASK
from tasks_app.admin.text import one_line

MAX_CHARACTERS = 200


def summary_of(call: ToolCall, *, hides: bool) -> str:
    """The arguments in a line, sensitive ones masked.

    Args:
        call: with its operation.
        hides: every value is masked, and only names that the operation itself has are told.
    """
    if hides:
        return " · ".join(f"{name}: {MASK}" for name in _declared(call))
    parts = [
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in call.arguments.items()
    ]
    return one_line(" · ".join(parts), MAX_CHARACTERS)


def _declared(call: ToolCall) -> list[str]:
    """The names of the given arguments that the schema has; others are the agent's own words."""
    properties = call.operation.parameters.get("properties")
    known = properties if isinstance(properties, dict) else {}
    return [one_line(name, 120) for name in call.arguments if name in known]
