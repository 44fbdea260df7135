import datetime as dt
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts_app.models import JSONTextField, Membership, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from guard_app.models import Incident
from tasks_app.models.tasks import UserTask
from tasks_app.states import NoticeKind, NoticeStatus


class NotificationSettings(WorkspaceModel):
    """How a member wants to be told; without a row, or where a member is unset, the defaults hold.

    The lane (`lane_token`, `lane_until`) is the lease of whoever tells this member now. After a
    message the member rests: what comes meanwhile goes into the next one.
    """

    member = models.OneToOneField(
        Membership, on_delete=models.PROTECT, related_name="notifications"
    )
    email = models.BooleanField(null=True, help_text="Unset: where mail can be sent.")
    times = JSONTextField(default=dict, help_text="How soon, by kind; where it differs.")
    quiet_from = models.TimeField(null=True)
    quiet_to = models.TimeField(null=True)
    digest_minutes = models.PositiveSmallIntegerField(default=60)
    digest_at = models.TimeField(default=dt.time(8), help_text="Of a daily digest.")
    addresses = JSONTextField(default=list, help_text="Id, service and host of each.")
    addresses_sealed = models.BinaryField(null=True)

    lane_token = models.UUIDField(null=True)
    lane_until = models.DateTimeField(null=True)
    rests_until = models.DateTimeField(null=True)
    rest_seconds = models.PositiveSmallIntegerField(default=0)

    objects = WorkspaceQuerySet["NotificationSettings"].as_manager()

    class Meta:
        verbose_name_plural = "notification settings"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_to__isnull=True)
                | Q(quiet_from__isnull=False, quiet_to__isnull=False),
                name="notification_quiet_whole",
            )
        ]

    def __str__(self) -> str:
        return f"Notifications of {self.member}"


class Notification(WorkspaceModel):
    """That one member is told of one thing; written where the thing became true.

    A claim counts the attempt and moves `due_at` behind its lease before anything is sent: where
    the worker dies in between, the member may be told twice, and is never not told.
    """

    member = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=NoticeKind)
    task = models.ForeignKey(UserTask, on_delete=models.PROTECT, null=True, related_name="+")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, null=True, related_name="+")
    due_at = models.DateTimeField(help_text="Not before: the digest, quiet hours, the next try.")
    status = models.CharField(
        max_length=8, choices=NoticeStatus, default=NoticeStatus.PENDING, editable=False
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    claim = models.UUIDField(null=True)
    channels = JSONTextField(null=True, help_text="Those still to be told; null is all.")
    last_error = models.CharField(max_length=200, blank=True)
    finished_at = models.DateTimeField(null=True)

    objects = WorkspaceQuerySet["Notification"].as_manager()

    class Meta:
        ordering = ("-created_at", "-pk")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=NoticeStatus.values), name="notification_status"
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"],
                condition=Q(status=NoticeStatus.PENDING),
                name="notification_due",
            ),
            models.Index(fields=["member", "-created_at"], name="notification_of_member"),
            models.Index(
                fields=["workspace"],
                condition=Q(status=NoticeStatus.FAILED),
                name="notification_failed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} to {self.member_id}"

    @property
    def is_underway(self) -> bool:
        """Whether it is a test whose first attempt is still to end."""
        waits = self.status == NoticeStatus.PENDING and not self.last_error
        return waits and self.kind == NoticeKind.TEST

    @property
    def what(self) -> str:
        """The kind, for a page."""
        return NoticeKind(self.kind).label
