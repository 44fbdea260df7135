from typing import ClassVar

from django.db import models

from accounts_app.models.base import WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet


class AgentQuerySet(WorkspaceQuerySet["Agent"]):
    agent_path = "pk"


class Agent(WorkspaceModel):
    """A named AI agent; with `tasks_enabled` it may ask people."""

    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    tasks_enabled = models.BooleanField(
        "tasks enabled", default=False, help_text="May this agent ask people anything?"
    )
    enabled = models.BooleanField(
        default=True, help_text="Off: the agent is frozen, and nothing of it starts."
    )

    frozen_at = models.DateTimeField(
        null=True, editable=False, help_text="Frozen by an analyst: no call is sent until thawed."
    )
    frozen_reason = models.TextField(blank=True, editable=False)
    paused_at = models.DateTimeField(
        null=True, editable=False, help_text="Paused: no new call is taken; what waits goes on."
    )
    paused_reason = models.TextField(blank=True, editable=False)
    approval_required_until = models.DateTimeField(
        null=True, editable=False, help_text="Until then every call of it needs approval."
    )

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering = ("slug",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "slug"], name="agent_slug_once")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of it may start or be sent."""
        return not self.enabled or self.frozen_at is not None
