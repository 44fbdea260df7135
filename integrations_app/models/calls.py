from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from accounts_app.models import Agent, JSONTextField, WorkspaceModel
from accounts_app.scoping import WorkspaceQuerySet
from integrations_app.models.catalogue import Operation
from integrations_app.models.sessions import Run
from integrations_app.states import CALL_FOR_NOTHING, CALL_OPEN, CallStatus, IntegrationKind


class ToolCallQuerySet(WorkspaceQuerySet["ToolCall"]):
    agent_path = "run__agent"

    def sendable(self) -> Self:
        """Not on hold, of an agent that is not frozen, and for Assent itself to send.

        Without a join: an update of joined rows becomes `id IN (SELECT …)`, and PostgreSQL does
        not look at the inner conditions again after it waited for a lock, so that a call that was
        cancelled meanwhile would be sent.
        """
        return self.filter(
            held=False,
            agent__in=Agent.objects.filter(enabled=True, frozen_at__isnull=True),
            operation__in=Operation.objects.filter(integration__kind=IntegrationKind.HTTP),
        )


class ToolCall(WorkspaceModel):
    """A run's request to perform an operation with arguments.

    The truth about what will be sent is `request_sealed`: the canonical bytes, built once,
    shown, digested, decided on by digest, and sent. `arguments` is for lists, masked.
    """

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="tool_calls")
    agent = models.ForeignKey(
        "accounts_app.Agent", on_delete=models.PROTECT, related_name="tool_calls"
    )
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="tool_calls")
    operation_version = models.PositiveIntegerField()
    status = models.CharField(
        max_length=20, choices=CallStatus, default=CallStatus.RECEIVED, editable=False
    )
    key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null is no key
    body_digest = models.CharField(max_length=64, editable=False)
    reason = models.TextField(blank=True, help_text="What the agent says about it.")

    arguments = JSONTextField(default=dict)
    arguments_sealed = models.BinaryField()
    arguments_digest = models.CharField(max_length=80)
    request_sealed = models.BinaryField(null=True)
    request_digest = models.CharField(max_length=80)
    approval_required = models.BooleanField(default=False)
    why = JSONTextField(default=list, help_text="Why a person is asked, as facts.")

    decided_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, help_text="Set before the first byte is sent.")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    held = models.BooleanField(default=False, help_text="On hold after a restore.")

    result = JSONTextField(null=True)
    error = JSONTextField(null=True)

    objects = ToolCallQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["workspace", "agent", "key"],
                condition=Q(key__isnull=False),
                name="call_key_once",
            ),
            models.CheckConstraint(condition=Q(status__in=CallStatus.values), name="call_status"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["workspace", "-created_at", "-id"], name="call_list"),
            models.Index(
                fields=["status", "queued_at"], condition=Q(status__in=CALL_OPEN), name="call_open"
            ),
            models.Index(fields=["agent", "created_at"], name="call_of_agent"),
            models.Index(fields=["agent", "operation"], name="call_of_agent_operation"),
            models.Index(
                fields=["agent", "finished_at"],
                condition=Q(status__in=CALL_FOR_NOTHING),
                name="call_for_nothing",
            ),
            models.Index(
                fields=["workspace", "finished_at"],
                condition=Q(status=CallStatus.SUCCEEDED),
                name="call_succeeded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} ({self.get_status_display()})"

    @property
    def downstream_key(self) -> str:
        """The Idempotency-Key that the service gets, the same for every attempt."""
        return str(self.pk)


class Attempt(models.Model):
    """One claim of a call by a worker, and what became of it; a late answer stays here."""

    call = models.ForeignKey(ToolCall, on_delete=models.PROTECT, related_name="attempt_rows")
    fence = models.PositiveIntegerField()
    claimed_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=40, blank=True)
    detail = models.TextField(blank=True)
    status_code = models.PositiveIntegerField(null=True)
    late = models.BooleanField(default=False)

    class Meta:
        ordering = ("call", "fence")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["call", "fence"], name="attempt_once")
        ]

    def __str__(self) -> str:
        return f"{self.call_id} #{self.fence}"


class Clearance(WorkspaceModel):
    """That a decision allows a call with exactly this digest; the executor checks it."""

    call = models.ForeignKey(ToolCall, on_delete=models.PROTECT, related_name="clearances")
    digest = models.CharField(max_length=80)
    decision_id = models.UUIDField(unique=True)

    objects = WorkspaceQuerySet["Clearance"].as_manager()

    def __str__(self) -> str:
        return f"{self.call_id} {self.digest[:16]}"


class OutboxEvent(WorkspaceModel):
    """What became true, written in the transaction that made it so; webhooks are sent from it."""

    type = models.CharField(max_length=40)
    subject_id = models.UUIDField()
    data = JSONTextField(default=dict)

    objects = WorkspaceQuerySet["OutboxEvent"].as_manager()

    class Meta:
        ordering = ("created_at", "id")
        indexes: ClassVar = [
            models.Index(fields=["workspace", "created_at"], name="outbox_order"),
            models.Index(fields=["subject_id"], name="outbox_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.subject_id}"
