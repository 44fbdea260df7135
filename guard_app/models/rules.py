from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from accounts_app.models import Agent, JSONTextField, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from guard_app.models.incidents import Incident
from guard_app.states import Detector, GuardEffect
from integrations_app.models import ToolCall


class GuardRule(WorkspaceModel):
    """What is suspicious, and what happens to a call that is."""

    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    detector = models.CharField(max_length=30, choices=Detector)
    parameters = JSONTextField(default=dict)
    applies_to = JSONTextField(default=dict, help_text="Agents and operations; empty is all.")
    references = JSONTextField(default=dict, help_text="Ids of the operations that it names.")
    effect = models.CharField(max_length=20, choices=GuardEffect)
    enabled = models.BooleanField(default=False)
    shadow = models.BooleanField(
        default=False, help_text="Record what it would have done, and do nothing."
    )
    asynchronous = models.BooleanField(
        default=False, help_text="Look after the fact; such a rule can only alert."
    )
    version = models.PositiveIntegerField(default=1, editable=False)

    objects = WorkspaceQuerySet["GuardRule"].as_manager()

    class Meta:
        verbose_name = "rule"
        ordering = ("slug",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "slug"], name="guard_rule_slug_once"),
            models.CheckConstraint(
                condition=Q(asynchronous=False)
                | Q(effect__in=[GuardEffect.ALLOW, GuardEffect.ALERT]),
                name="guard_rule_late_only_alerts",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class DetectionQuerySet(WorkspaceQuerySet["Detection"]):
    agent_path = "agent"

    def of_calls(self) -> Self:
        """Those on what an agent asked for; not those on a person's edit that was refused."""
        return self.filter(refused_edit_by__isnull=True)


class Detection(WorkspaceModel):
    """One hit of a rule on a call, or on a person's edit of it, whether it decided or not."""

    rule = models.ForeignKey(GuardRule, on_delete=models.PROTECT, related_name="detections")
    rule_version = models.PositiveIntegerField(default=1)
    tool_call = models.ForeignKey(ToolCall, on_delete=models.PROTECT, related_name="detections")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")
    incident = models.ForeignKey(
        Incident, on_delete=models.PROTECT, null=True, related_name="detections"
    )
    effect = models.CharField(max_length=20, choices=GuardEffect)
    shadow = models.BooleanField(default=False)
    decided = models.BooleanField(default=False, help_text="Whether this is what moved the call.")
    failed = models.BooleanField(default=False, help_text="The detector itself failed.")
    explanation = models.TextField()
    seen = models.TextField(blank=True)
    usual = models.TextField(blank=True)
    refused_edit_by = JSONTextField(
        null=True, help_text="Who tried the edit that it hit, and that was refused."
    )

    objects = DetectionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes: ClassVar = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="detection_list"),
            models.Index(fields=["rule", "-created_at"], name="detection_of_rule"),
        ]

    def __str__(self) -> str:
        return f"{self.get_effect_display()}, {self.created_at:%Y-%m-%d %H:%M:%S}"

    @property
    def shown_effect(self) -> str:
        """The effect for a page; of a refused edit nothing came to the call."""
        label = GuardEffect(self.effect).label
        return f"Refused edit ({label})" if self.refused_edit_by else label


class LateScreening(models.Model):
    """A call that the asynchronous rules have still to look at; gone once they have."""

    tool_call = models.OneToOneField(ToolCall, on_delete=models.CASCADE, primary_key=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("created_at",)

    def __str__(self) -> str:
        return str(self.pk)
