from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from accounts_app.constants import Constant
from accounts_app.models import Agent, JSONTextField, User, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from guard_app.states import INCIDENT_OPEN, IncidentStatus, Severity
from integrations_app.models import Operation


class IncidentQuerySet(WorkspaceQuerySet["Incident"]):
    agent_path = "agent"

    def of_statuses(self, *statuses: IncidentStatus) -> Self:
        return self.filter(status__in=[Constant(status.value) for status in statuses])


class Incident(WorkspaceModel):
    """The case that analysts triage: the hits of one rule on one agent's calls of an operation."""

    rule = models.ForeignKey(
        "guard_app.GuardRule", on_delete=models.PROTECT, related_name="incidents"
    )
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="incidents")
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="incidents")
    status = models.CharField(
        max_length=12, choices=IncidentStatus, default=IncidentStatus.OPEN, editable=False
    )
    severity = models.CharField(max_length=8, choices=Severity)
    count = models.PositiveIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    previous = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="following"
    )
    assignee = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="incidents"
    )
    closed_at = models.DateTimeField(null=True)
    closed_by = JSONTextField(null=True)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rule", "agent", "operation"],
                condition=Q(status__in=INCIDENT_OPEN),
                name="incident_one_open",
            ),
            models.CheckConstraint(
                condition=Q(status__in=IncidentStatus.values), name="incident_status"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="incident_list"),
            models.Index(fields=["workspace", "-last_seen_at", "-id"], name="incident_newest"),
            models.Index(
                fields=["workspace", "-last_seen_at", "-id"],
                condition=Q(status__in=INCIDENT_OPEN),
                name="incident_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.agent}, {self.operation}"


class IncidentNote(WorkspaceModel):
    """What an analyst wrote down about an incident."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="notes")
    text = models.TextField()
    by = JSONTextField()

    class Meta:
        ordering = ("created_at", "id")

    def __str__(self) -> str:
        return self.text[:80]
