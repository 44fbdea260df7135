from typing import ClassVar

from django.db import models

from accounts_app.models import JSONTextField, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from guard_app.states import Detector, GuardEffect
from integrations_app.models import ToolCall


class GuardRule(WorkspaceModel):
    """What is suspicious, and what happens to a call that is."""

    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    detector = models.CharField(max_length=30, choices=Detector)
    parameters = JSONTextField(default=dict)
    effect = models.CharField(max_length=20, choices=GuardEffect)
    enabled = models.BooleanField(default=False)

    objects = WorkspaceQuerySet["GuardRule"].as_manager()

    class Meta:
        ordering = ("slug",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "slug"], name="guard_rule_slug_once")
        ]

    def __str__(self) -> str:
        return self.name


class DetectionQuerySet(WorkspaceQuerySet["Detection"]):
    agent_path = "tool_call__agent"


class Detection(WorkspaceModel):
    """One hit of a rule on a call."""

    rule = models.ForeignKey(GuardRule, on_delete=models.PROTECT, related_name="detections")
    tool_call = models.ForeignKey(ToolCall, on_delete=models.PROTECT, related_name="detections")
    effect = models.CharField(max_length=20, choices=GuardEffect)
    explanation = models.TextField()

    objects = DetectionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return self.explanation
