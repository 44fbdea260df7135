"""Settings of the workspace: which features are on, and what holds where nobody says otherwise."""

from typing import Any

from django import forms

from accounts_app.backoffice.forms import BackOfficeForm, DurationField, FormPage
from accounts_app.backoffice.pages import register
from accounts_app.models import WorkspaceSettings
from accounts_app.services.workspace_settings import (
    SWITCHES,
    change_settings,
    workspace_settings,
)
from accounts_app.states import Permission


def _help(name: str) -> str:
    return str(getattr(WorkspaceSettings._meta.get_field(name), "help_text", ""))


def _switch(name: str, label: str) -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False, help_text=_help(name))


class SettingsForm(BackOfficeForm):
    hitl = _switch("hitl", "Human in the loop (HITL): agents may ask people")
    aitl = _switch("aitl", "Agent escalations (AITL)")
    guard = _switch("guard", "Guard: screen calls by its rules")
    default_timeout_seconds = DurationField(
        label="Default deadline", required=False, help_text=_help("default_timeout_seconds")
    )
    require_second_factor = _switch("require_second_factor", "Require a second factor")


@register("workspace/", "workspace")
class WorkspacePage(FormPage):
    """The workspace's settings."""

    title = "Workspace"
    template_name = "accounts_app/workspace.html"
    permissions = write_permissions = (Permission.MANAGE_WORKSPACE,)
    form_class = SettingsForm

    def initial(self) -> dict[str, Any]:
        row = workspace_settings(self.actor.workspace_id)
        return {name: getattr(row, name) for name in (*SWITCHES, "default_timeout_seconds")}

    def save(self, form: BackOfficeForm) -> str:
        change_settings(self.actor, **form.cleaned_data)
        return "The settings are saved; they hold from now on."
