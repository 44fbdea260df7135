from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts_app.models.workspaces import Workspace

MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 1, 31_536_000


class WorkspaceSettings(models.Model):
    """What a workspace's admins chose; a workspace without a row has the defaults below."""

    workspace = models.OneToOneField(
        Workspace,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="settings",
        editable=False,
    )
    hitl = models.BooleanField(
        "Human in the loop (HITL)",
        default=True,
        help_text="Agents may ask people. Off: nothing new is asked, and a call that needs"
        " approval is refused, never let through. What waits can still be decided.",
    )
    aitl = models.BooleanField(
        "Agent escalations (AITL)",
        default=True,
        help_text="A sub-agent may ask a person for help. Off: new escalations are refused.",
    )
    guard = models.BooleanField(
        "Guard",
        default=True,
        help_text="Calls are screened by the guard's rules. Off: no rule is asked; approvals"
        " that operations require stay.",
    )
    default_timeout_seconds = models.FloatField(
        "Default deadline, in seconds",
        null=True,
        blank=True,
        help_text="For tasks that name none: so long people have. Empty: for ever.",
    )
    require_second_factor = models.BooleanField(
        "Require a second factor",
        default=False,
        help_text="Members must set up a second factor before they see anything else here.",
    )

    class Meta:
        verbose_name_plural = "workspace settings"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(default_timeout_seconds__isnull=True)
                | Q(
                    default_timeout_seconds__gte=MIN_TIMEOUT_SECONDS,
                    default_timeout_seconds__lte=MAX_TIMEOUT_SECONDS,
                ),
                name="settings_timeout_range",
            )
        ]

    def __str__(self) -> str:
        return f"Settings of {self.workspace}"
