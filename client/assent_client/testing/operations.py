"""What agents may call, in the fake: a Python function stands for the service."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A service's answer with a status of its own; 400 and above make the call fail."""

    status_code: int
    body: Any = None


class NoAnswer(Exception):
    """Raised by a fake service: it was called, and no whole answer came."""


@dataclass
class Operation:
    """One operation.

    Args:
        name: `integration.operation`.
        perform: the service; None for one that the agent runs itself.
        needs_approval: whether a call with these arguments waits for a person.
        effect: read, idempotent or once.
        actions: what the person may choose from.
        timeout_seconds: the deadline of the decision.
        allow_edit: whether the person may edit the arguments.
        parameters: the JSON Schema of the arguments.
        quorum: how many people must agree; None is one.
        reviewers: the names of those who may decide; None is everybody.
        created_at: when it was added, as the contract writes it.
    """

    name: str
    perform: Callable[[Mapping[str, Any]], Any] | None
    needs_approval: Callable[[Mapping[str, Any]], bool]
    effect: str = "once"
    actions: list[dict[str, Any]] = field(default_factory=list)
    timeout_seconds: float | None = None
    allow_edit: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    quorum: int | None = None
    reviewers: Mapping[str, Any] | None = None
    created_at: str = ""

    def as_json(self) -> dict[str, Any]:
        """As `GET integrations/{slug}/operations/{slug}` shows it."""
        integration, _, slug = self.name.partition(".")
        served = self.perform is not None
        return {
            "slug": slug,
            "integration": integration,
            "operation": self.name,
            "name": slug,
            "description": "",
            "method": "POST" if served else None,
            "path": f"/{slug}" if served else None,
            "parameters": dict(self.parameters),
            "effect": self.effect,
            "requires_approval": True,
            "approval": {
                "actions": self.actions,
                "timeout_seconds": self.timeout_seconds,
                "on_timeout": "return",
                "quorum": self.quorum,
                "reviewers": self.reviewers,
                "allow_edit": self.allow_edit,
                "allow_self_review": False,
                "when": None,
            },
            "sensitive": [],
            "timeout_seconds": 30,
            "enabled": True,
            "version": 1,
            "created_at": self.created_at,
        }

    def outcome(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call the service: the members of the call that its answer decides."""
        if self.perform is None:
            return {"status": "executing"}
        try:
            said = self.perform(arguments)
        except NoAnswer as lost:
            status = "failed" if self.effect == "read" else "unknown"
            return {"status": status, "error": {"code": "no_answer", "detail": str(lost)}}
        answer = said if isinstance(said, Answer) else Answer(200, said)
        result = {"status_code": answer.status_code, "headers": {}, "body": answer.body}
        if answer.status_code < 400:
            return {"status": "succeeded", "result": result, "error": None}
        detail = f"The service answered {answer.status_code}."
        error = {"code": "refused", "detail": detail}
        return {"status": "failed", "result": result, "error": error}
