from typing import ClassVar

from django.db import models

from accounts_app.models import Agent, JSONTextField, WorkspaceModel, new_id
from accounts_app.scoping import WorkspaceQuerySet
from integrations_app.models import Operation, ToolCall


class Measure(models.Model):
    """One argument of a call as a number and as a keyed digest, never as text.

    Budgets add the numbers, ranges learn from them, and the digest tells whether a value was seen
    before. Of a sensitive argument only the digest is kept.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        "accounts_app.Workspace", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    call = models.ForeignKey(ToolCall, on_delete=models.CASCADE, related_name="measures")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+", db_index=False)
    operation = models.ForeignKey(
        Operation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    run_id = models.UUIDField()
    session_id = models.UUIDField()
    participant = models.CharField(max_length=254, blank=True)
    at = models.DateTimeField()
    pointer = models.CharField(max_length=200)
    number = models.FloatField(null=True, help_text="The number, or the size of text and lists.")
    digest = models.CharField(max_length=32, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["session_id", "pointer"], name="measure_in_session"),
            models.Index(
                fields=["workspace", "participant", "pointer", "at"], name="measure_of_person"
            ),
            models.Index(
                fields=["agent", "operation", "pointer", "digest"], name="measure_of_agent"
            ),
            models.Index(fields=["operation", "pointer", "at"], name="measure_order"),
            # With what a sum needs, so that it reads the index alone.
            models.Index(
                fields=["agent", "pointer", "at", "call", "number"], name="measure_of_window"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pointer} of {self.call_id}"


class Baseline(WorkspaceModel):
    """What is usual: values of one argument of an operation, or the pace of an agent."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, null=True, related_name="+")
    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, null=True, related_name="+")
    pointer = models.CharField(max_length=200, blank=True)
    data = JSONTextField(default=dict)

    objects = WorkspaceQuerySet["Baseline"].as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["operation", "pointer"],
                condition=models.Q(operation__isnull=False),
                name="baseline_of_argument_once",
            ),
            models.UniqueConstraint(
                fields=["agent"],
                condition=models.Q(operation__isnull=True),
                name="baseline_of_agent_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id or self.agent_id} {self.pointer}"


class LearningMark(models.Model):
    """Up to which moment a workspace's calls have gone into its baselines."""

    workspace = models.OneToOneField(
        "accounts_app.Workspace", on_delete=models.CASCADE, primary_key=True
    )
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.workspace_id} {self.until}"
