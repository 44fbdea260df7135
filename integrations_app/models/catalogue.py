from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts_app.models import JSONTextField, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from integrations_app.states import AuthType, Effect, IntegrationKind, Method


class Integration(WorkspaceModel):
    """A system that agents may act on; its credential never leaves the executor."""

    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=6, choices=IntegrationKind)
    base_url = models.CharField("base URL", max_length=500, blank=True)
    auth_type = models.CharField(max_length=6, choices=AuthType, default=AuthType.NONE)
    auth_name = models.CharField(
        max_length=120, blank=True, help_text="The header's name, or the user name."
    )
    auth_sealed = models.BinaryField(null=True, editable=False)
    auth_version = models.PositiveIntegerField(default=0, editable=False)
    default_headers = JSONTextField(default=dict)
    requires_approval = models.BooleanField(default=False)
    allow_private_network = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)

    objects = WorkspaceQuerySet["Integration"].as_manager()

    class Meta:
        ordering = ("slug",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "slug"], name="integration_slug_once")
        ]

    def __str__(self) -> str:
        return self.name


class Operation(WorkspaceModel):
    """One call of an integration: how it is made, what doing it twice means, who must agree."""

    integration = models.ForeignKey(
        Integration, on_delete=models.PROTECT, related_name="operations"
    )
    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    method = models.CharField(max_length=6, choices=Method, blank=True)
    path = models.CharField(max_length=500, blank=True)
    parameters = JSONTextField(default=dict)
    effect = models.CharField(max_length=10, choices=Effect)
    requires_approval = models.BooleanField(
        "Require approval (HITL) before execution",
        null=True,
        help_text="Unset: as the integration says.",
    )
    approval = JSONTextField(default=dict, help_text="The approval policy.")
    sensitive = JSONTextField(default=list, help_text="JSON pointers to sensitive arguments.")
    timeout_seconds = models.FloatField(default=30)
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1, editable=False)

    objects = WorkspaceQuerySet["Operation"].as_manager()

    class Meta:
        ordering = ("integration__slug", "slug")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["integration", "slug"], name="operation_slug_once"),
            models.CheckConstraint(condition=Q(effect__in=Effect.values), name="operation_effect"),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def reference(self) -> str:
        """How the contract names it: `integration.operation`."""
        return f"{self.integration.slug}.{self.slug}"

    @property
    def asks_first(self) -> bool:
        """The effective switch “Require approval (HITL) before execution”."""
        if self.requires_approval is None:
            return self.integration.requires_approval
        return self.requires_approval
