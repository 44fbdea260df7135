from typing import ClassVar

from django.db import models

from accounts_app.models import JSONTextField, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from integrations_app.models import Run, Session
from tasks_app.models.tasks import UserTask
from tasks_app.states import MessageRole


class MessageQuerySet(WorkspaceQuerySet["Message"]):
    agent_path = "run__agent"


class Message(WorkspaceModel):
    """What was said in a run; linked to a task, it is that task's hint in its scope."""

    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="messages")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="messages")
    role = models.CharField(max_length=6, choices=MessageRole)
    text = models.TextField()
    scope = models.CharField(max_length=200, blank=True)
    task = models.ForeignKey(UserTask, on_delete=models.PROTECT, null=True, related_name="messages")
    by = JSONTextField(help_text="Whose credential wrote it.")

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ("created_at", "pk")
        indexes: ClassVar = [
            models.Index(fields=["run", "created_at"], name="message_of_run"),
            models.Index(fields=["session", "scope", "-created_at"], name="message_in_scope"),
        ]

    def __str__(self) -> str:
        return self.text[:80]
