from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts_app.models import Agent, JSONTextField, User, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from integrations_app.states import RunStatus, SessionStatus


class SessionQuerySet(WorkspaceQuerySet["Session"]):
    agent_path = "agent"


class Session(WorkspaceModel):
    """One conversation or job of an agent."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="sessions")
    key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null is no key
    body_digest = models.CharField(max_length=64, editable=False)
    participant = models.CharField(max_length=254, blank=True)
    title = models.CharField(max_length=200, blank=True)
    metadata = JSONTextField(default=dict)
    status = models.CharField(
        max_length=12, choices=SessionStatus, default=SessionStatus.ACTIVE, editable=False
    )
    end_reason = models.TextField(blank=True)
    ended_at = models.DateTimeField(null=True)
    opened_by = models.CharField(max_length=64, help_text="The credential that opened it.")
    starter = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="The person who answers for that credential.",
    )

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["workspace", "agent", "key"],
                condition=Q(key__isnull=False),
                name="session_key_once",
            ),
            models.CheckConstraint(
                condition=Q(status__in=SessionStatus.values), name="session_status"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="session_list")
        ]

    def __str__(self) -> str:
        return self.title or f"Session of {self.created_at:%Y-%m-%d %H:%M}"


class RunQuerySet(WorkspaceQuerySet["Run"]):
    agent_path = "agent"


class Run(WorkspaceModel):
    """One execution in a session; a sub-agent's run has a parent."""

    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="runs")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="runs")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null is no key
    body_digest = models.CharField(max_length=64, editable=False)
    title = models.CharField(max_length=200, blank=True)
    metadata = JSONTextField(default=dict)
    status = models.CharField(
        max_length=12, choices=RunStatus, default=RunStatus.RUNNING, editable=False
    )
    output = JSONTextField(null=True)
    error = JSONTextField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["workspace", "agent", "key"],
                condition=Q(key__isnull=False),
                name="run_key_once",
            ),
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="run_status"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="run_list")
        ]

    def __str__(self) -> str:
        return self.title or f"Run of {self.created_at:%Y-%m-%d %H:%M}"
