"""The actions that a person may choose from, as the contract writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from accounts_app.errors import FieldError, Invalid

MAX_ACTIONS = 20
MAX_NAME = 120
STYLES = ("default", "primary", "danger")
_MEMBERS = {"name", "label", "comment_required", "style", "effect"}


@dataclass(frozen=True, slots=True)
class Action:
    """One button.

    Args:
        name: what callers send; any characters, kept unchanged.
        label: what people read.
        comment_required: whether deciding so needs a comment.
        style: default, primary or danger.
        effect: for calls: `proceed` runs the call, `stop` does not; empty elsewhere.
    """

    name: str
    label: str
    comment_required: bool = False
    style: str = "default"
    effect: str = ""

    def as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "name": self.name,
            "label": self.label,
            "comment_required": self.comment_required,
            "style": self.style,
        }
        return {**shown, "effect": self.effect} if self.effect else shown


def from_json(stored: Sequence[dict[str, Any]]) -> list[Action]:
    """Read back what `as_json` wrote."""
    return [Action(**item) for item in stored]


def parse_actions(raw: Any, *, field: str, for_call: bool) -> list[Action]:
    """Read a list of names or objects; missing or empty is approve, reject.

    Args:
        raw: the body's member.
        field: its name, for errors.
        for_call: whether the actions decide on a tool call, and so carry an effect.

    Raises:
        Invalid: naming the element and what would be right.
    """
    if raw is None or raw == []:
        raw = ["approve", "reject"]
    if not isinstance(raw, list):
        _refuse(field, "Must be a list of names or objects.")
    if len(raw) > MAX_ACTIONS:
        _refuse(field, f"At most {MAX_ACTIONS} actions.", "too_long")
    actions = [
        _action(item, f"{field}.{index}", for_call=for_call) for index, item in enumerate(raw)
    ]
    names = [action.name for action in actions]
    for index, name in enumerate(names):
        if name in names[:index]:
            _refuse(f"{field}.{index}", f"The action {name!r} is there twice.")
    if for_call and not any(action.effect == "proceed" for action in actions):
        _refuse(field, 'At least one action must have "effect": "proceed".')
    return actions


def _action(raw: Any, field: str, *, for_call: bool) -> Action:
    item = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(item, dict):
        _refuse(field, "Must be a name or an object with a name.")
    for member in item.keys() - _MEMBERS:
        _refuse(
            f"{field}.{member}", f"Known members: {', '.join(sorted(_MEMBERS))}.", "unknown_field"
        )
    name = item.get("name")
    if not isinstance(name, str) or not name.strip():
        _refuse(f"{field}.name", "Must be a text that is not blank.")
    if len(name) > MAX_NAME:
        _refuse(f"{field}.name", f"At most {MAX_NAME} characters.", "too_long")
    label = item.get("label", _label(name))
    if not isinstance(label, str) or not label.strip():
        _refuse(f"{field}.label", "Must be a text that is not blank.")
    if len(label) > MAX_NAME:
        _refuse(f"{field}.label", f"At most {MAX_NAME} characters.", "too_long")
    comment_required = item.get("comment_required", False)
    if not isinstance(comment_required, bool):
        _refuse(f"{field}.comment_required", "Must be true or false.")
    style = item.get("style", _style(name))
    if style not in STYLES:
        _refuse(f"{field}.style", f"Choose from {', '.join(STYLES)}.")
    effect = item.get("effect", "")
    if "effect" in item and not for_call:
        _refuse(
            f"{field}.effect", "Only the actions of an operation have an effect.", "unknown_field"
        )
    if for_call:
        effect = effect or ("proceed" if name == "approve" else "stop")
        if effect not in ("proceed", "stop"):
            _refuse(f"{field}.effect", "Choose from proceed, stop.")
    return Action(name, label, comment_required, style, effect)


def _label(name: str) -> str:
    words = name.replace("_", " ").replace("-", " ").strip() or name
    return words[:1].upper() + words[1:]


def _style(name: str) -> str:
    return {"approve": "primary", "reject": "danger"}.get(name, "default")


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])
