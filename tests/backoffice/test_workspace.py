"""The workspace's settings: read by services, changed by its admins alone, written down."""

import pytest

from accounts_app.errors import Forbidden, Invalid
from accounts_app.models import AuditEntry, WorkspaceSettings
from accounts_app.services.workspace_settings import change_settings, workspace_settings
from tests.backoffice.people import signed_in
from tests.conftest import Cast

VALUES = {
    "hitl": True,
    "aitl": True,
    "guard": True,
    "require_second_factor": False,
    "default_timeout_seconds": None,
}


def test_a_workspace_without_a_choice_has_everything_on(cast: Cast) -> None:
    row = workspace_settings(cast.workspace.pk)
    assert {name: getattr(row, name) for name in VALUES} == VALUES
    assert not WorkspaceSettings.objects.exists()


def test_what_an_admin_chooses_holds_and_is_written_down(cast: Cast) -> None:
    form = {"hitl": "on", "default_timeout_seconds_0": "1.5", "default_timeout_seconds_1": "3600"}
    answer = signed_in("admin").post("/admin/workspace/", form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/workspace/")
    row = workspace_settings(cast.workspace.pk)
    assert (row.hitl, row.aitl, row.guard, row.default_timeout_seconds) == (
        True,
        False,
        False,
        5400,
    )
    assert workspace_settings(cast.other.pk).guard
    entry = AuditEntry.objects.get(verb="workspace.changed")
    assert entry.facts["after"] == {"aitl": False, "guard": False, "default_timeout_seconds": 5400}


def test_saving_without_a_change_writes_nothing_down(cast: Cast) -> None:
    change_settings(cast.actor("admin"), **VALUES)
    assert not AuditEntry.objects.filter(verb="workspace.changed").exists()


def test_a_deadline_out_of_range_is_refused_next_to_its_field(cast: Cast) -> None:
    form = {"guard": "on", "default_timeout_seconds_0": "900", "default_timeout_seconds_1": "86400"}
    answer = signed_in("admin").post("/admin/workspace/", form)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "Must be from 1 to 31,536,000 seconds, or empty." in text
    assert 'value="900.0"' in text or 'value="900"' in text
    assert not WorkspaceSettings.objects.filter(guard=False).exists()
    assert workspace_settings(cast.workspace.pk).hitl
    with pytest.raises(Invalid):
        change_settings(cast.actor("admin"), **{**VALUES, "default_timeout_seconds": 0})


def test_nobody_else_changes_the_settings(cast: Cast) -> None:
    assert signed_in("ida").post("/admin/workspace/", {}).status_code == 403
    with pytest.raises(Forbidden):
        change_settings(cast.actor("ida"), **{**VALUES, "guard": False})
    assert not WorkspaceSettings.objects.exists()
