"""What an agent would do with a task, and the tools to say so (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ACTION = {"type": "string", "description": "The action, for instance approve or reject."}
_COMMENT = {"type": "string", "description": "Why; shown to the person who confirms."}
_DRAFT = {"type": "string", "description": "The whole new draft."}


FORMATS = ("openai", "anthropic", "mcp")


@dataclass(frozen=True)
class Tool:
    """One tool: its name, what it does, and its arguments as a JSON Schema."""

    name: str
    description: str
    properties: Mapping[str, Any]
    required: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }


TOOLS = (
    Tool(
        "get_task_info",
        "Get information about the current task: title, status, available actions, draft.",
        {},
    ),
    Tool(
        "update_draft",
        "Replace the draft of the current task.",
        {"draft": _DRAFT},
        ("draft",),
    ),
    Tool(
        "propose_action",
        "Propose an action on the current task. A person confirms it; you cannot.",
        {"action": _ACTION, "comment": _COMMENT},
        ("action",),
    ),
)


def as_definition(tool: Tool, format: str) -> dict[str, Any]:
    """A tool as a model's API takes it.

    Raises:
        ValueError: no such format.
    """
    named = {"name": tool.name, "description": tool.description}
    if format == "openai":
        return {"type": "function", "function": {**named, "parameters": tool.schema}}
    if format == "anthropic":
        return {**named, "input_schema": tool.schema}
    if format == "mcp":
        return {**named, "inputSchema": tool.schema}
    raise ValueError(f"Choose from {', '.join(FORMATS)}; not {format}.")


@dataclass(frozen=True)
class Proposal:
    """What an agent would do; it binds the revision that the agent saw."""

    task: str
    action: str
    comment: str
    revision: int

    def as_json(self) -> dict[str, Any]:
        return {"action": self.action, "comment": self.comment, "revision": self.revision}

    @classmethod
    def read(cls, task: str, shown: Any) -> "Proposal | None":
        """From a task's metadata; None for what is none."""
        if not isinstance(shown, Mapping):
            return None
        action, revision = shown.get("action"), shown.get("revision")
        if not isinstance(action, str) or not isinstance(revision, int):
            return None
        return cls(task, action, str(shown.get("comment") or ""), revision)
