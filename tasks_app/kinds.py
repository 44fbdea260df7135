"""What each kind of task offers and accepts: one validator for every way in (pure)."""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

import re2

from accounts_app.errors import FieldError, Invalid
from accounts_app.strict_json import MAX_INTEGER, MIN_INTEGER
from integrations_app.actions import Action
from tasks_app.states import APPROVALS, Kind

MAX_COMMENT = 10_000
MAX_TEXT = 20_000
MAX_DRAFT_BYTES = 256 * 1024
OWN_ACTIONS: dict[str, list[Action]] = {
    Kind.MULTI_OPTION: [Action("select", "Select", style="primary")],
    Kind.TEXT: [Action("submit", "Submit", style="primary")],
    Kind.NUMBER: [Action("submit", "Submit", style="primary")],
    Kind.AITL_ESCALATION: [
        Action("answer", "Answer", style="primary"),
        Action("decline", "Decline", style="danger"),
    ],
    Kind.ANOMALY_REVIEW: [
        Action("approve", "Approve", style="primary", effect="proceed"),
        Action("reject", "Reject", style="danger", effect="stop"),
    ],
    Kind.ANOMALY_ALERT: [Action("acknowledge", "Acknowledge", style="primary")],
}
_INPUT_MEMBERS = {
    Kind.NUMBER: {"minimum", "maximum", "integer"},
    Kind.TEXT: {"min_length", "max_length", "pattern"},
}


@dataclass(frozen=True, slots=True)
class Question:
    """What a task asks, as far as an answer must fit it."""

    kind: str
    actions: list[Action]
    options: list[dict[str, Any]]
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answers, unchecked."""

    action: str | None = None
    value: Any = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """An answer that fits its question."""

    action: Action
    value: Any
    comment: str | None


def check_answer(question: Question, answer: Answer) -> CheckedAnswer:
    """Fit an answer to its question; nothing missing is ever taken for an approval (promise 9).

    Raises:
        Invalid: `unknown_action` naming the offered ones, `required`, `comment_required`,
            `too_long` or `invalid_value`.
    """
    action = _chosen(question, answer.action)
    comment = answer.comment
    if comment is not None and len(comment) > MAX_COMMENT:
        _refuse("comment", f"At most {MAX_COMMENT} characters.", "too_long")
    if action.comment_required and not (comment or "").strip():
        _refuse("comment", f"“{action.label}” needs a comment.", "comment_required")
    return CheckedAnswer(action, _value(question, action, answer.value), comment)


def _chosen(question: Question, name: str | None) -> Action:
    offered = ", ".join(action.name for action in question.actions)
    if name is None:
        if len(question.actions) == 1 and question.kind not in APPROVALS:
            return question.actions[0]
        _refuse("action", f"Choose an action: {offered}.", "unknown_action")
    chosen = [action for action in question.actions if action.name == name]
    if not chosen:
        _refuse("action", f"There is no such action; offered are: {offered}.", "unknown_action")
    return chosen[0]


def _value(question: Question, action: Action, value: Any) -> Any:
    kind = question.kind
    if kind == Kind.MULTI_OPTION:
        ids = [option["id"] for option in question.options]
        if value not in ids or not isinstance(value, str):
            _refuse("value", f"Must be the id of an option: {', '.join(ids)}.")
        return value
    if kind == Kind.NUMBER:
        return _number(question.input, value)
    if kind == Kind.TEXT or (kind == Kind.AITL_ESCALATION and action.name == "answer"):
        return _text(question.input, value)
    if value is not None:
        _refuse("value", "This action takes no value.")
    return None


def _number(rules: dict[str, Any], value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _refuse("value", "Must be a JSON number.")
    if rules.get("integer") and value != int(value):
        _refuse("value", "Must be a whole number.")
    if rules.get("minimum") is not None and value < rules["minimum"]:
        _refuse("value", f"Must be at least {rules['minimum']}.")
    if rules.get("maximum") is not None and value > rules["maximum"]:
        _refuse("value", f"Must be at most {rules['maximum']}.")
    # 7e1 is a whole number; beyond 64 bits only a double can be kept.
    if rules.get("integer") and MIN_INTEGER <= value <= MAX_INTEGER:
        return int(value)
    return value


def _text(rules: dict[str, Any], value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse("value", "Must be a text that is not blank.")
    if len(value) > MAX_TEXT:
        _refuse("value", f"At most {MAX_TEXT} characters.", "too_long")
    if len(value) < rules.get("min_length", 0):
        _refuse("value", f"At least {rules['min_length']} characters.")
    if len(value) > rules.get("max_length", MAX_TEXT):
        _refuse("value", f"At most {rules['max_length']} characters.")
    if rules.get("pattern") and not re2.search(rules["pattern"], value):
        _refuse("value", f"Must match the pattern {rules['pattern']}.")
    return value


def check_draft(draft: Any, field: str) -> None:
    """Refuse work that is too large.

    Raises:
        Invalid: `too_long`.
    """
    if len(json.dumps(draft, ensure_ascii=False).encode()) > MAX_DRAFT_BYTES:
        _refuse(field, f"At most {MAX_DRAFT_BYTES} bytes.", "too_long")


def check_options(kind: str, raw: Any) -> list[dict[str, Any]]:
    """Read the options of a multi_option task.

    Raises:
        Invalid: none given, or one that is incomplete or there twice.
    """
    if kind != Kind.MULTI_OPTION:
        if raw:
            _refuse("options", "Only a multi_option task has options.")
        return []
    if not isinstance(raw, list) or not raw:
        _refuse("options", "A multi_option task needs at least one option.", "required")
    seen: list[str] = []
    options = []
    for index, item in enumerate(raw):
        option = _option(item, f"options.{index}")
        if option["id"] in seen:
            _refuse(f"options.{index}.id", f"The option {option['id']!r} is there twice.")
        seen.append(option["id"])
        options.append(option)
    return options


def _option(item: Any, field: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        _refuse(field, "Must be an object with id and label.")
    for member in item.keys() - {"id", "label", "description"}:
        _refuse(f"{field}.{member}", "Known: id, label, description.", "unknown_field")
    for member in ("id", "label"):
        value = item.get(member)
        if not isinstance(value, str) or not value.strip():
            _refuse(f"{field}.{member}", "Must be a text that is not blank.")
    description = item.get("description", "")
    if not isinstance(description, str):
        _refuse(f"{field}.description", "Must be a text.")
    return {"id": item["id"], "label": item["label"], "description": description}


def check_input(kind: str, raw: Any) -> dict[str, Any]:
    """Read the limits of a text or number task.

    Raises:
        Invalid: a member that this kind does not have, or limits that contradict each other.
    """
    if raw is None:
        return {}
    members = _INPUT_MEMBERS.get(Kind(kind), set())
    if not isinstance(raw, dict):
        _refuse("input", "Must be an object.")
    for member in raw.keys() - members:
        known = ", ".join(sorted(members)) or "none"
        _refuse(f"input.{member}", f"Known for this kind: {known}.", "unknown_field")
    for member in ("minimum", "maximum"):
        _expect(raw, member, (int, float), "Must be a number.")
    for member in ("min_length", "max_length"):
        _expect(raw, member, (int,), "Must be a whole number.")
        if raw.get(member) is not None and raw[member] < 0:
            _refuse(f"input.{member}", "Must not be negative.")
    if raw.get("integer") is not None and not isinstance(raw["integer"], bool):
        _refuse("input.integer", "Must be true or false.")
    for low, high in (("minimum", "maximum"), ("min_length", "max_length")):
        if raw.get(low) is not None and raw.get(high) is not None and raw[low] > raw[high]:
            _refuse(f"input.{low}", f"Is above {high}.")
    _check_pattern(raw.get("pattern"))
    return {name: value for name, value in raw.items() if value is not None}


def _check_pattern(pattern: Any) -> None:
    if pattern is None:
        return
    if not isinstance(pattern, str) or len(pattern) > 1000:
        _refuse("input.pattern", "Must be a text of at most 1000 characters.")
    try:
        re2.compile(pattern)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode(errors="replace") if isinstance(said, bytes) else f"{said}"
        _refuse("input.pattern", f"Is no RE2 pattern: {text}.")


def _expect(raw: dict[str, Any], member: str, types: tuple[type, ...], detail: str) -> None:
    value = raw.get(member)
    if value is not None and (isinstance(value, bool) or not isinstance(value, types)):
        _refuse(f"input.{member}", detail)


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
