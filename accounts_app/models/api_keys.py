from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts_app.models.agents import Agent
from accounts_app.models.base import WorkspaceModel
from accounts_app.models.users import User
from accounts_app.scoping import WorkspaceQuerySet
from accounts_app.states import Scope


def no_scopes() -> list[str]:
    return []


class ApiKey(WorkspaceModel):
    """A credential of an integrator; the key itself is shown once and never stored."""

    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=no_scopes)
    agent = models.ForeignKey(
        Agent, on_delete=models.PROTECT, null=True, blank=True, related_name="api_keys"
    )
    owner = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="api_keys"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = WorkspaceQuerySet["ApiKey"].as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ("name",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                condition=Q(revoked_at__isnull=True),
                name="api_key_name_once",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope_set(self) -> frozenset[Scope]:
        return frozenset(Scope(name) for name in self.scopes)
