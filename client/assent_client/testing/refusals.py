"""Refusals of the fake server, with the contract's codes and statuses."""

from collections.abc import Mapping, Sequence
from typing import Any

STATUSES = {
    "parse_error": 400,
    "not_authenticated": 401,
    "insufficient_scope": 403,
    "dashboard_only": 403,
    "wrong_agent": 403,
    "tasks_not_enabled": 403,
    "kind_not_creatable": 403,
    "not_editable": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "already_completed": 409,
    "already_cancelled": 409,
    "already_executing": 409,
    "already_finished": 409,
    "already_voted": 409,
    "ambiguous_task": 409,
    "deadline_passed": 409,
    "idempotency_mismatch": 409,
    "key_exists": 409,
    "not_executing": 409,
    "operation_disabled": 409,
    "run_ended": 409,
    "session_ended": 409,
    "stale_revision": 409,
    "revision_required": 428,
}


class Refused(Exception):
    """A refusal; nothing was changed."""

    def __init__(self, code: str, detail: str, *, field: str = "", **facts: Any) -> None:
        super().__init__(detail)
        self.status = 422 if field else STATUSES[code]
        self.code = code
        self.facts: dict[str, Any] = {
            "type": f"urn:assent:problem:{code}",
            "title": "The request was refused",
            "status": self.status,
            "detail": f"{field}: {detail}" if field else detail,
            "code": code,
            **facts,
        }
        if field:
            self.facts["errors"] = [{"field": field, "code": code, "detail": detail}]


def invalid(field: str, detail: str, code: str = "invalid_value") -> Refused:
    """A member of a body that cannot be accepted."""
    return Refused(code, detail, field=field)


def invalid_fields(found: Sequence[tuple[str, str, str]]) -> Refused:
    """Several members that cannot be accepted: field, code and sentence of each."""
    field, code, detail = found[0]
    refused = Refused(code, detail, field=field)
    refused.facts["errors"] = [
        {"field": field, "code": code, "detail": detail} for field, code, detail in found
    ]
    return refused


def check_members(body: Mapping[str, Any], *known: str) -> None:
    """Refuse members that a body does not have.

    Raises:
        Refused: `unknown_field`.
    """
    for name in body:
        if name not in known:
            raise invalid(name, f"Unknown; known: {', '.join(known)}.", "unknown_field")
