"""Whether a workspace lets its agents ask people at all, and how long people have by default."""

from uuid import UUID

from accounts_app.errors import Forbidden
from accounts_app.services.workspace_settings import workspace_settings
from tasks_app.states import Kind


def check_asking_is_on(workspace_id: UUID, kind: str) -> float | None:
    """Refuse what the workspace's admins switched off; nothing is let through instead.

    Returns:
        Seconds that people have where nobody said; None is for ever.

    Raises:
        Forbidden: `tasks_not_enabled`.
    """
    chosen = workspace_settings(workspace_id)
    if not chosen.hitl:
        text = "Asking people is switched off in this workspace: a workspace admin must allow it."
        raise Forbidden(text, code="tasks_not_enabled")
    if kind == Kind.AITL_ESCALATION and not chosen.aitl:
        text = "Escalations are switched off in this workspace: a workspace admin must allow them."
        raise Forbidden(text, code="tasks_not_enabled")
    return chosen.default_timeout_seconds


def default_timeout(workspace_id: UUID) -> float | None:
    """How long people have where nobody said; None is for ever."""
    return workspace_settings(workspace_id).default_timeout_seconds
