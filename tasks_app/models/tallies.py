from typing import ClassVar

from django.db import models

from accounts_app.models import Agent, Workspace, WorkspaceModel
from tasks_app.figures import BANDS
from tasks_app.scoping import TallyQuerySet
from tasks_app.states import Kind


class DecidedHour(WorkspaceModel):
    """What became of tasks in one hour, counted once that hour is over.

    It is told apart by what says who may see a task, so that `visible_to` counts for each reader
    exactly what they may see. Beside the outcomes, `band_0` and so on count the decisions by how
    long they took.
    """

    hour = models.DateTimeField()
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=20, choices=Kind)
    named = models.BooleanField()
    let_through = models.PositiveIntegerField(default=0)
    stopped = models.PositiveIntegerField(default=0)
    timed_out = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)

    objects = TallyQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["workspace", "hour", "agent", "kind", "named"], name="decided_hour_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hour}: {self.kind}"


for _band in range(BANDS):
    models.PositiveIntegerField(default=0).contribute_to_class(DecidedHour, f"band_{_band}")


class DecidedMark(models.Model):
    """Up to when a workspace's hours were counted; what came later is read from the tasks."""

    workspace = models.OneToOneField(Workspace, primary_key=True, on_delete=models.PROTECT)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.workspace_id}: {self.until}"
