from typing import ClassVar

from django.db import models

from accounts_app.models import JSONTextField, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from guard_app.states import GuardEffect, ReplayStatus
from integrations_app.models import ToolCall


class Replay(WorkspaceModel):
    """What a draft rule would have done to the recorded calls of a period."""

    draft = JSONTextField(help_text="The rule, checked, with the ids that it names.")
    name = models.CharField(max_length=120)
    since = models.DateTimeField()
    until = models.DateTimeField()
    status = models.CharField(
        max_length=8, choices=ReplayStatus, default=ReplayStatus.RUNNING, editable=False
    )
    total = models.PositiveIntegerField(null=True, help_text="Calls in the period.")
    calls = models.PositiveIntegerField(default=0)
    hits = models.PositiveIntegerField(default=0)
    would = JSONTextField(default=dict)
    decided = JSONTextField(default=dict)
    missed_rejected = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    by = JSONTextField()
    lease_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    hits_pruned_at = models.DateTimeField(
        null=True, help_text="Since then the calls behind the numbers are no longer kept."
    )

    objects = WorkspaceQuerySet["Replay"].as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes: ClassVar = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(status="running"),
                name="replay_running",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}"


class ReplayHit(models.Model):
    """A call behind a number of a replay; the first of them are kept, until they are old."""

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="hit_rows")
    tool_call = models.ForeignKey(ToolCall, on_delete=models.CASCADE, related_name="+")
    effect = models.CharField(max_length=20, choices=GuardEffect, blank=True)
    decided = models.CharField(max_length=10)
    explanation = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.tool_call_id} {self.decided}"
