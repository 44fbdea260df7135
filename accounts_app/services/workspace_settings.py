"""What a workspace's admins chose; read by whoever acts on it, changed by its admins."""

from typing import Any
from uuid import UUID

from accounts_app.errors import FieldError, Invalid
from accounts_app.models.settings import (
    MAX_TIMEOUT_SECONDS,
    MIN_TIMEOUT_SECONDS,
    WorkspaceSettings,
)
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Permission

register_verbs({"workspace.changed": "changed the workspace's settings"})

SWITCHES = ("hitl", "aitl", "guard", "require_second_factor")


def workspace_settings(workspace_id: UUID) -> WorkspaceSettings:
    """The settings of a workspace, the defaults where nobody chose; one query, no write."""
    found = WorkspaceSettings.objects.filter(pk=workspace_id).first()
    return found or WorkspaceSettings(workspace_id=workspace_id)


def change_settings(
    actor: Actor,
    *,
    hitl: bool,
    aitl: bool,
    guard: bool,
    require_second_factor: bool,
    default_timeout_seconds: float | None,
) -> WorkspaceSettings:
    """Bring the actor's workspace to these settings.

    Raises:
        Forbidden: the actor does not manage the workspace.
        Invalid: a default deadline out of range.
    """
    actor.require(Permission.MANAGE_WORKSPACE)
    _check_timeout(default_timeout_seconds)
    values: dict[str, Any] = {
        "hitl": hitl,
        "aitl": aitl,
        "guard": guard,
        "require_second_factor": require_second_factor,
        "default_timeout_seconds": default_timeout_seconds,
    }
    with unit_of_work() as unit:
        row, _ = WorkspaceSettings.objects.select_for_update(no_key=True).get_or_create(
            pk=actor.workspace_id
        )
        changed = {name: value for name, value in values.items() if getattr(row, name) != value}
        if changed:
            before = {name: getattr(row, name) for name in changed}
            WorkspaceSettings.objects.filter(pk=row.pk).update(**changed)
            target = ("workspace", actor.workspace_id, "settings")
            unit.audit(actor, "workspace.changed", target, {"before": before, "after": changed})
    row.refresh_from_db()
    return row


def _check_timeout(seconds: float | None) -> None:
    if seconds is not None and not MIN_TIMEOUT_SECONDS <= seconds <= MAX_TIMEOUT_SECONDS:
        text = f"Must be from {MIN_TIMEOUT_SECONDS} to {MAX_TIMEOUT_SECONDS:,} seconds, or empty."
        raise Invalid([FieldError("default_timeout_seconds", "invalid_value", text)])
