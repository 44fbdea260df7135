import json
from typing import Any, ClassVar

from django.db import models

from accounts_app.models.base import new_id
from accounts_app.models.workspaces import Workspace
from accounts_app.scoping import WorkspaceQuerySet


class AuditEntry(models.Model):
    """One act that happened; append-only, chained by hash within its workspace.

    Names are copied into the row, without foreign keys to what they name: evidence outlives
    accounts.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")
    sequence = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    verb = models.CharField(max_length=60)
    actor_type = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField(max_length=200)
    channel = models.CharField(max_length=10)
    request_id = models.CharField(max_length=64, blank=True)
    target_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=64)
    target_name = models.CharField(max_length=200)
    data = models.TextField(help_text="Canonical JSON; kept as text because it is hashed.")
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects = WorkspaceQuerySet["AuditEntry"].as_manager()

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering = ("-sequence",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "sequence"], name="audit_sequence_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["workspace", "target_type", "target_id"], name="audit_target"),
            models.Index(fields=["workspace", "actor_id", "-sequence"], name="audit_actor"),
            models.Index(fields=["workspace", "verb", "-sequence"], name="audit_verb"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence}: {self.verb}"

    @property
    def facts(self) -> dict[str, Any]:
        """The entry's data, parsed."""
        facts: dict[str, Any] = json.loads(self.data)
        return facts


class AuditHead(models.Model):
    """The end of one workspace's chain; locked last in a transaction."""

    workspace = models.OneToOneField(Workspace, primary_key=True, on_delete=models.PROTECT)
    sequence = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)

    def __str__(self) -> str:
        return f"{self.workspace_id}: {self.sequence}"
