from typing import ClassVar

from django.db import models

from accounts_app.models import User, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from tasks_app.models.tasks import UserTask


class Presence(WorkspaceModel):
    """Somebody has a task open just now; it is no claim, and nothing depends on it."""

    task = models.ForeignKey(UserTask, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField(help_text="It holds for a short while after that.")

    objects = WorkspaceQuerySet["Presence"].as_manager()

    class Meta:
        ordering = ("task", "user")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "user"], name="presence_once")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} at {self.task_id}"
