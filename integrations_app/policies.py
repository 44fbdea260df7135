"""The approval policy of an operation: read strictly, kept in one form (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from accounts_app.errors import FieldError, Invalid
from integrations_app import conditions
from integrations_app.actions import Action, from_json, parse_actions
from integrations_app.states import Effect

MIN_TIMEOUT, MAX_TIMEOUT = 1, 31_536_000
_MEMBERS = {
    "actions",
    "timeout_seconds",
    "on_timeout",
    "quorum",
    "reviewers",
    "allow_edit",
    "allow_self_review",
    "when",
}


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """When a person is asked about a call, and what they may answer.

    Args:
        actions: what they may choose from.
        timeout_seconds: how long they have; None is for ever.
        on_timeout: `return`, or `{"action": name}`.
        allow_edit: whether who decides may edit the arguments first.
        allow_self_review: whether whoever started the session may decide.
        when: a CEL expression; a person is asked only where it is true. Empty: always.
    """

    actions: tuple[Action, ...]
    timeout_seconds: float | None = None
    on_timeout: Any = "return"
    allow_edit: bool = False
    allow_self_review: bool = False
    when: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "actions": [action.as_json() for action in self.actions],
            "timeout_seconds": self.timeout_seconds,
            "on_timeout": self.on_timeout,
            "quorum": None,
            "reviewers": None,
            "allow_edit": self.allow_edit,
            "allow_self_review": self.allow_self_review,
            "when": self.when or None,
        }


def read_policy(stored: Mapping[str, Any]) -> ApprovalPolicy:
    """The policy as it was stored by `as_json`."""
    return ApprovalPolicy(
        actions=tuple(from_json(stored["actions"])),
        timeout_seconds=stored["timeout_seconds"],
        on_timeout=stored["on_timeout"],
        allow_edit=stored["allow_edit"],
        allow_self_review=stored["allow_self_review"],
        when=stored["when"] or "",
    )


def parse_policy(raw: Any, *, effect: str) -> ApprovalPolicy:
    """Read the member `approval` of an operation.

    Args:
        raw: the body's member; None is the default policy.
        effect: the operation's effect: a `once` operation never approves at time-out.

    Raises:
        Invalid: naming the member and what would be right; `not_supported` for one that does
            not work yet.
    """
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        _refuse("approval", "Must be an object.")
    for member in raw.keys() - _MEMBERS:
        _refuse(f"approval.{member}", f"Known: {', '.join(sorted(_MEMBERS))}.", "unknown_field")
    if raw.get("quorum") not in (None, 1):
        _refuse("approval.quorum", "A quorum is not supported yet.", "not_supported")
    if raw.get("reviewers") is not None:
        _refuse("approval.reviewers", "Reviewers are not supported yet.", "not_supported")
    actions = parse_actions(raw.get("actions"), field="approval.actions", for_call=True)
    return ApprovalPolicy(
        actions=tuple(actions),
        timeout_seconds=parse_timeout(raw.get("timeout_seconds"), "approval.timeout_seconds"),
        on_timeout=_call_timeout(raw.get("on_timeout"), actions, effect),
        allow_edit=_boolean(raw, "allow_edit"),
        allow_self_review=_boolean(raw, "allow_self_review"),
        when=_when(raw.get("when")),
    )


def parse_timeout(raw: Any, field: str) -> float | None:
    """Read a number of seconds from 1 to 31,536,000 (a year), or nothing.

    Raises:
        Invalid: no number, or out of range.
    """
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        _refuse(field, "Must be a number of seconds.")
    if not MIN_TIMEOUT <= raw <= MAX_TIMEOUT:
        _refuse(field, f"Must be from {MIN_TIMEOUT} to {MAX_TIMEOUT} seconds.")
    return raw


def parse_on_timeout(raw: Any, actions: list[Action], field: str) -> Any:
    """Read what happens at the deadline: `return`, or an offered action.

    Raises:
        Invalid: something else, an action that is not offered, or `not_supported`.
    """
    if raw is None or raw == "return":
        return "return"
    if isinstance(raw, dict) and set(raw) == {"escalate"}:
        _refuse(f"{field}.escalate", "Escalation is not supported yet.", "not_supported")
    if not isinstance(raw, dict) or set(raw) != {"action"}:
        _refuse(field, 'Must be "return" or {"action": name}.')
    offered = [action.name for action in actions]
    if raw["action"] not in offered:
        _refuse(f"{field}.action", f"Offered: {', '.join(offered)}.", "unknown_action")
    return {"action": raw["action"]}


def _call_timeout(raw: Any, actions: list[Action], effect: str) -> Any:
    parsed = parse_on_timeout(raw, actions, "approval.on_timeout")
    if parsed != "return" and effect == Effect.ONCE:
        chosen = next(action for action in actions if action.name == parsed["action"])
        if chosen.effect == "proceed":
            text = "An operation with effect `once` never proceeds at a time-out."
            _refuse("approval.on_timeout", text)
    return parsed


def _when(raw: Any) -> str:
    if raw is None:
        return ""
    if not isinstance(raw, str):
        _refuse("approval.when", "Must be a CEL expression as text.")
    try:
        conditions.check(raw)
    except conditions.ConditionFailed as error:
        raise Invalid([FieldError("approval.when", "invalid_value", str(error))]) from error
    return raw


def _boolean(raw: dict[str, Any], name: str) -> bool:
    value = raw.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        _refuse(f"approval.{name}", "Must be true or false.")
    return value


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
