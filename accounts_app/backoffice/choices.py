"""Lists of check boxes that may be long: what is chosen stands first, a filter finds the rest."""

from collections.abc import Iterable
from typing import Any

from django import forms

MOST = 5000


class ChoiceList(forms.CheckboxSelectMultiple):
    """Check boxes in one template: a template for each box takes seconds where they are thousands.

    Who only reads gets what is chosen: a box that is locked cannot be focused, so nobody could
    scroll to it by keyboard.
    """

    template_name = "accounts_app/parts/choices.html"

    def optgroups(self, name: str, value: Any, attrs: Any = None) -> list[Any]:
        return []

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        widget = context["widget"]
        chosen = set(widget["value"])
        rows = [(str(key), label, str(key) in chosen) for key, label in self.choices]
        if widget["attrs"].get("disabled"):
            rows = [row for row in rows if row[2]]
        widget["rows"] = sorted(rows, key=lambda row: not row[2])
        return context


class ChoicesField(forms.MultipleChoiceField):
    """Some of many: names, ids or slugs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, widget=ChoiceList(attrs={"class": "choices"}), **options)


def offer(form: forms.Form, name: str, choices: Iterable[tuple[Any, str]]) -> None:
    """Let a field choose from these, and from what it has already.

    What is chosen and not there any more is offered too: else saving would drop it unseen, and
    that may mean “everybody”.
    """
    field: Any = form.fields[name]
    known = [(str(key), text) for key, text in choices]
    keys = {key for key, _ in known}
    gone = [str(key) for key in form.initial.get(name) or [] if str(key) not in keys]
    field.choices = [*known, *((key, f"{key} (no longer here)") for key in gone)]


def person_label(full_name: str, username: str) -> str:
    """A person in a list: both names, since colleagues know either."""
    return f"{full_name} ({username})" if full_name and full_name != username else username
