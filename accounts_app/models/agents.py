from typing import ClassVar, Self

from django.db import models

from accounts_app.models.base import WorkspaceModel
from accounts_app.scoping import Actor, WorkspaceQuerySet
from accounts_app.states import Permission

SEES_EVERY_AGENT = (
    Permission.SEE_ALL_TASKS,
    Permission.SEE_SUMMARIES,
    Permission.SEE_MASKED,
    Permission.SEE_ANOMALIES,
    Permission.WRITE_CATALOGUE,
)


class AgentQuerySet(WorkspaceQuerySet["Agent"]):
    """Agents; a member who is limited to some knows of those, unless a role shows them all."""

    agent_path = "pk"

    def visible_to(self, actor: Actor) -> Self:
        rows = super().visible_to(actor)
        if actor.limited_to is None or any(map(actor.can, SEES_EVERY_AGENT)):
            return rows
        return rows.filter(pk__in=actor.limited_to)


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
