"""What each kind of task offers and accepts, in the fake (pure)."""

from collections.abc import Mapping
from typing import Any

from assent_client.testing.refusals import invalid
from assent_client.testing.store import Row

KINDS = ("approval", "hitl", "multi_option", "text", "number", "aitl_escalation")


def parse_actions(raw: Any, *, for_call: bool = False) -> list[Row]:
    """Names or objects as the contract shows them; none is approve, reject.

    Raises:
        Refused: blank, or there twice.
    """
    actions = [_action(item, for_call) for item in raw or ["approve", "reject"]]
    names = [item["name"] for item in actions]
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise invalid(f"actions.{index}.name", "Must be a text that is not blank.")
        if name in names[:index]:
            raise invalid(f"actions.{index}", f"The action {name!r} is there twice.")
    return actions


def _action(raw: Any, for_call: bool) -> Row:
    item = dict(raw) if isinstance(raw, Mapping) else {"name": raw}
    name = item.get("name")
    words = str(name).replace("_", " ").replace("-", " ").strip()
    shown = {
        "name": name,
        "label": item.get("label") or words[:1].upper() + words[1:],
        "comment_required": bool(item.get("comment_required")),
        "style": item.get("style")
        or {"approve": "primary", "reject": "danger"}.get(str(name), "default"),
    }
    if for_call:
        shown["effect"] = item.get("effect") or ("proceed" if name == "approve" else "stop")
    return shown


OWN_ACTIONS = {
    "multi_option": parse_actions([{"name": "select", "style": "primary"}]),
    "text": parse_actions([{"name": "submit", "style": "primary"}]),
    "number": parse_actions([{"name": "submit", "style": "primary"}]),
    "aitl_escalation": parse_actions(
        [{"name": "answer", "style": "primary"}, {"name": "decline", "style": "danger"}]
    ),
}


def check_answer(task: Row, body: Row) -> tuple[str, Any]:
    """The action and value of an answer that fits; nothing missing is taken for an approval.

    Raises:
        Refused: `unknown_action`, `comment_required` or `invalid_value`.
    """
    offered = {action["name"]: action for action in task["actions"]}
    name = body.get("action")
    if name is None and len(offered) == 1 and task["kind"] not in ("approval", "hitl"):
        name = next(iter(offered))
    if not isinstance(name, str) or name not in offered:
        raise invalid("action", f"Offered: {', '.join(offered)}.", "unknown_action")
    if offered[name]["comment_required"] and not (body.get("comment") or "").strip():
        label = offered[name]["label"]
        raise invalid("comment", f"“{label}” needs a comment.", "comment_required")
    return name, _value(task, name, body.get("value"))


def _value(task: Row, action: str, value: Any) -> Any:
    kind, limits = task["kind"], task["input"] or {}
    if kind == "multi_option":
        ids = [option["id"] for option in task["options"]]
        if value not in ids:
            raise invalid("value", f"Must be the id of an option: {', '.join(ids)}.")
    elif kind == "number":
        _check_number(limits, value)
    elif kind == "text" or (kind == "aitl_escalation" and action == "answer"):
        _check_text(limits, value)
    elif value is not None:
        raise invalid("value", "This action takes no value.")
    return value


def _check_number(limits: Mapping[str, Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise invalid("value", "Must be a JSON number.")
    if limits.get("integer") and value != int(value):
        raise invalid("value", "Must be a whole number.")
    if value < limits.get("minimum", value) or value > limits.get("maximum", value):
        raise invalid("value", "Is outside the limits.")


def _check_text(limits: Mapping[str, Any], value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise invalid("value", "Must be a text that is not blank.")
    if not limits.get("min_length", 0) <= len(value) <= limits.get("max_length", 20_000):
        raise invalid("value", "Its length is outside the limits.")
