"""Fields of the approval policy that no ready-made field fits."""

from collections.abc import Mapping
from typing import Any

from django import forms

PARTS = ("name", "label", "effect", "style", "comment")
EFFECTS = (("proceed", "runs the call"), ("stop", "stops it"))
STYLES = (("default", "plain"), ("primary", "primary"), ("danger", "danger"))
COMMENTS = (("", "optional"), ("yes", "required"))


class ActionsWidget(forms.Widget):
    """A row for each button that the approver gets; rows without a name are none."""

    template_name = "integrations_app/parts/actions.html"
    use_fieldset = True

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["rows"] = [*(value or []), {"effect": "stop", "style": "default"}]
        context["widget"]["choices"] = {"effect": EFFECTS, "style": STYLES, "comment": COMMENTS}
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, str]]:
        columns = [data.getlist(f"{name}-{part}") for part in PARTS]
        rows = [dict(zip(PARTS, row, strict=True)) for row in zip(*columns, strict=False)]
        return [row for row in rows if row["name"].strip() or row["label"].strip()]

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return False


class ActionsField(forms.Field):
    """The member `approval.actions`; nothing typed is approve and reject."""

    widget = ActionsWidget

    def prepare_value(self, value: Any) -> Any:
        """Actions as the policy stores them, or rows as they were typed."""
        rows = []
        for item in value or []:
            row = {**item}
            row.setdefault("comment", "yes" if row.get("comment_required") else "")
            rows.append(row)
        return rows

    def clean(self, value: Any) -> list[dict[str, Any]]:
        return [self._action(row) for row in value]

    def _action(self, row: Mapping[str, str]) -> dict[str, Any]:
        action: dict[str, Any] = {
            "name": row["name"].strip(),
            "comment_required": row["comment"] == "yes",
            "effect": row["effect"],
            "style": row["style"],
        }
        label = row["label"].strip()
        return {**action, "label": label} if label else action
