"""The approval policy of an operation: read strictly, kept in one form (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from accounts_app.errors import FieldError, Invalid
from integrations_app import conditions
from integrations_app.actions import Action, from_json, parse_actions
from integrations_app.states import Effect

MIN_TIMEOUT, MAX_TIMEOUT = 1, 31_536_000
MAX_LEVELS = 5
MAX_REVIEWERS = 100
MAX_QUORUM = 100
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
        on_timeout: `return`, `{"action": name}` or `{"escalate": {...}}`.
        quorum: how many people must agree; None is one.
        reviewers: the names of those who may decide; None is every operator.
        granted: who these names are, by id: first the reviewers, then those of each escalation.
        allow_edit: whether who decides may edit the arguments first.
        allow_self_review: whether whoever started the session may decide.
        when: a CEL expression; a person is asked only where it is true. Empty: always.
    """

    actions: tuple[Action, ...]
    timeout_seconds: float | None = None
    on_timeout: Any = "return"
    quorum: int | None = None
    reviewers: dict[str, list[str]] | None = None
    granted: tuple[dict[str, list[Any]], ...] = ()
    allow_edit: bool = False
    allow_self_review: bool = False
    when: str = ""

    def as_json(self) -> dict[str, Any]:
        """As it is stored; `granted` is no part of the contract, and left out where it is empty."""
        granted = {"granted": list(self.granted)} if self.granted else {}
        return {**self.shown(), **granted}

    def shown(self) -> dict[str, Any]:
        """As the contract writes it."""
        return {
            "actions": [action.as_json() for action in self.actions],
            "timeout_seconds": self.timeout_seconds,
            "on_timeout": self.on_timeout,
            "quorum": self.quorum,
            "reviewers": self.reviewers,
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
        quorum=stored["quorum"],
        reviewers=stored["reviewers"],
        granted=tuple(stored.get("granted", ())),
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
        Invalid: naming the member and what would be right.
    """
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        _refuse("approval", "Must be an object.")
    for member in raw.keys() - _MEMBERS:
        _refuse(f"approval.{member}", f"Known: {', '.join(sorted(_MEMBERS))}.", "unknown_field")
    actions = parse_actions(raw.get("actions"), field="approval.actions", for_call=True)
    return ApprovalPolicy(
        actions=tuple(actions),
        timeout_seconds=parse_timeout(raw.get("timeout_seconds"), "approval.timeout_seconds"),
        on_timeout=_call_timeout(raw.get("on_timeout"), actions, effect),
        quorum=parse_quorum(raw.get("quorum"), "approval.quorum"),
        reviewers=parse_reviewers(raw.get("reviewers"), "approval.reviewers"),
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


def parse_quorum(raw: Any, field: str) -> int | None:
    """Read how many people must agree.

    Raises:
        Invalid: no whole number from 1 to 100.
    """
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= MAX_QUORUM:
        _refuse(field, f"Must be a whole number from 1 to {MAX_QUORUM}.")
    return raw


def parse_reviewers(raw: Any, field: str) -> dict[str, list[str]] | None:
    """Read `{users: [names], groups: [names]}`; who they are is looked up elsewhere.

    Raises:
        Invalid: something else, or nobody named.
    """
    if raw is None:
        return None
    if not isinstance(raw, dict):
        _refuse(field, 'Must be an object like {"users": ["ann"], "groups": []}.')
    for member in raw.keys() - {"users", "groups"}:
        _refuse(f"{field}.{member}", "Known: users, groups.", "unknown_field")
    names = {kind: _names(raw.get(kind), f"{field}.{kind}") for kind in ("users", "groups")}
    total = sum(map(len, names.values()))
    if not 1 <= total <= MAX_REVIEWERS:
        _refuse(field, f"Name from 1 to {MAX_REVIEWERS} users or groups.")
    return names


def _names(raw: Any, field: str) -> list[str]:
    if raw is None:
        return []
    if not isinstance(raw, list):
        _refuse(field, "Must be a list of names.")
    for index, name in enumerate(raw):
        if not isinstance(name, str) or not name.strip():
            _refuse(f"{field}.{index}", "Must be a name.")
    return list(dict.fromkeys(raw))


def parse_on_timeout(raw: Any, actions: list[Action], field: str, *, levels: int = 0) -> Any:
    """Read what happens at the deadline: `return`, an offered action, or an escalation.

    Args:
        raw: the body's member.
        actions: what the task offers.
        field: its name, for errors.
        levels: how many escalations lie around this one.

    Raises:
        Invalid: something else, an action that is not offered, or more than five levels.
    """
    if raw is None or raw == "return":
        return "return"
    if isinstance(raw, dict) and set(raw) == {"escalate"}:
        inner = f"{field}.escalate"
        return {"escalate": _escalation(raw["escalate"], actions, inner, levels + 1)}
    if not isinstance(raw, dict) or set(raw) != {"action"}:
        choices = '"return", {"action": name} or {"escalate": {"reviewers", "timeout_seconds"}}'
        _refuse(field, f"Must be {choices}.")
    offered = [action.name for action in actions]
    if raw["action"] not in offered:
        _refuse(
            f"{field}.action",
            f"There is no such action; offered are: {', '.join(offered)}.",
            "unknown_action",
        )
    return {"action": raw["action"]}


def _escalation(raw: Any, actions: list[Action], field: str, level: int) -> dict[str, Any]:
    if level > MAX_LEVELS:
        _refuse(field, f"At most {MAX_LEVELS} levels of escalation.", "too_long")
    members = {"reviewers", "timeout_seconds", "on_timeout"}
    if not isinstance(raw, dict):
        _refuse(field, "Must be an object with reviewers and timeout_seconds.")
    for member in raw.keys() - members:
        _refuse(f"{field}.{member}", f"Known: {', '.join(sorted(members))}.", "unknown_field")
    for member in ("reviewers", "timeout_seconds"):
        if raw.get(member) is None:
            _refuse(f"{field}.{member}", "An escalation needs it.", "required")
    return {
        "reviewers": parse_reviewers(raw["reviewers"], f"{field}.reviewers"),
        "timeout_seconds": parse_timeout(raw["timeout_seconds"], f"{field}.timeout_seconds"),
        "on_timeout": parse_on_timeout(
            raw.get("on_timeout"), actions, f"{field}.on_timeout", levels=level
        ),
    }


def escalations(on_timeout: Any) -> list[dict[str, Any]]:
    """The escalations of a parsed `on_timeout`, first to last."""
    found = []
    while isinstance(on_timeout, dict) and "escalate" in on_timeout:
        found.append(on_timeout["escalate"])
        on_timeout = on_timeout["escalate"]["on_timeout"]
    return found


def at_level(on_timeout: Any, level: int) -> Any:
    """What happens at the deadline after so many escalations."""
    if level == 0:
        return on_timeout
    return escalations(on_timeout)[level - 1]["on_timeout"]


def _call_timeout(raw: Any, actions: list[Action], effect: str) -> Any:
    parsed = parse_on_timeout(raw, actions, "approval.on_timeout")
    last = at_level(parsed, len(escalations(parsed)))
    if last != "return" and effect == Effect.ONCE:
        chosen = next(action for action in actions if action.name == last["action"])
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
