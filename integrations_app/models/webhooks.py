from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts_app.models import JSONTextField, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from integrations_app.models.calls import OutboxEvent
from integrations_app.states import DELIVERY_OPEN, DeliveryStatus


class Webhook(WorkspaceModel):
    """An address that is told what became true; its deliveries go out one after another.

    The lane (`lane_token`, `lane_until`) is the lease of whoever delivers to it now, so that an
    address that hangs costs one worker at most. After an attempt without an answer it rests.
    """

    slug = models.SlugField(max_length=60)
    url = models.CharField("URL", max_length=500)
    events = models.JSONField(default=list)
    allow_private_network = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True, editable=False)
    secret_sealed = models.BinaryField(editable=False)
    former_secrets = JSONTextField(
        default=list, editable=False, help_text="Rotated out, sealed, with the end of each."
    )
    lane_token = models.UUIDField(null=True, editable=False)
    lane_until = models.DateTimeField(null=True, editable=False)
    rests_until = models.DateTimeField(null=True, editable=False)
    hung_in_a_row = models.PositiveIntegerField(default=0, editable=False)

    objects = WorkspaceQuerySet["Webhook"].as_manager()

    class Meta:
        ordering = ("slug",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workspace", "slug"], name="webhook_slug_once")
        ]

    def __str__(self) -> str:
        return self.slug


class Delivery(WorkspaceModel):
    """That one event goes to one webhook; its id is the `webhook-id` of every attempt.

    A claim counts the attempt and moves `next_attempt_at` behind its lease before anything is
    sent: where the worker dies, the attempt counts as unanswered, and the next comes then.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="deliveries")
    event = models.ForeignKey(OutboxEvent, on_delete=models.PROTECT, related_name="deliveries")
    subject_id = models.UUIDField()
    status = models.CharField(
        max_length=10, choices=DeliveryStatus, default=DeliveryStatus.PENDING, editable=False
    )
    attempts = models.PositiveIntegerField(default=0)
    claim = models.UUIDField(null=True, editable=False)
    last_status_code = models.PositiveIntegerField(null=True)
    last_error = models.CharField(max_length=200, blank=True)
    next_attempt_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    held = models.BooleanField(default=False, help_text="On hold after a restore.")

    objects = WorkspaceQuerySet["Delivery"].as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["webhook", "event"], name="delivery_once"),
            models.CheckConstraint(
                condition=Q(status__in=DeliveryStatus.values), name="delivery_status"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["webhook", "-created_at", "-id"], name="delivery_list"),
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(status__in=DELIVERY_OPEN),
                name="delivery_due",
            ),
            models.Index(
                fields=["webhook", "subject_id", "created_at"],
                condition=Q(status__in=DELIVERY_OPEN),
                name="delivery_order",
            ),
            models.Index(
                fields=["workspace"],
                condition=Q(status=DeliveryStatus.DEAD),
                name="delivery_given_up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.webhook_id}"
