from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper

from accounts_app.models import Agent, JSONTextField, User, WorkspaceModel
from accounts_app.states import Channel
from guard_app.models import Incident
from integrations_app.models import Run, Session, ToolCall
from tasks_app.scoping import DUE_OR_NEVER, TaskQuerySet
from tasks_app.states import About, CancelReason, Kind, TaskStatus


class UserTask(WorkspaceModel):
    """The human step: never created, edited or deleted by hand."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="tasks")
    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="tasks")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="tasks")
    tool_call = models.ForeignKey(
        ToolCall, on_delete=models.PROTECT, null=True, related_name="tasks"
    )
    incident = models.ForeignKey(
        Incident, on_delete=models.PROTECT, null=True, related_name="tasks"
    )
    about = models.CharField(max_length=10, choices=About, default=About.NOTHING)
    key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null is no key
    body_digest = models.CharField(max_length=64, editable=False)

    kind = models.CharField(max_length=20, choices=Kind)
    status = models.CharField(
        max_length=10, choices=TaskStatus, default=TaskStatus.PENDING, editable=False
    )
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    participant = models.CharField(max_length=254, blank=True)
    actions = JSONTextField(default=list)
    options = JSONTextField(default=list)
    input = JSONTextField(null=True)
    initial_work = JSONTextField(null=True)
    draft = JSONTextField(null=True)
    revision = models.PositiveIntegerField(default=1)
    digest = models.CharField(max_length=80, blank=True, help_text="Of the call's request.")
    why = JSONTextField(default=list)
    stale = JSONTextField(null=True)
    metadata = JSONTextField(default=dict)
    policy = JSONTextField(null=True, help_text="The operation's approval policy, as it was.")
    allow_self_review = models.BooleanField(default=False)
    allow_edit = models.BooleanField(default=False, help_text="Of a call's arguments.")
    guard_said = JSONTextField(null=True, help_text="About the edited arguments, where it pauses.")
    question = models.TextField(  # noqa: DJ001 - null is no question
        null=True, help_text="What the agent was asked back and has not answered."
    )
    survive_parent_close = models.BooleanField(default=False)

    asking_run = models.ForeignKey(
        Run,
        on_delete=models.PROTECT,
        null=True,
        related_name="questions",
        help_text="The sub-agent's run that the answer must reach.",
    )
    run_chain = JSONTextField(default=list, help_text="Ids of its parent runs, nearest first.")

    reviewers = JSONTextField(null=True, help_text="The names, as they were given.")
    named = models.BooleanField(default=False, help_text="Only the named reviewers may decide.")
    quorum = models.PositiveSmallIntegerField(null=True, help_text="Unset: one decides.")
    unroutable = models.BooleanField(default=False, help_text="Nobody is left who may decide.")
    assigned_to = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="assigned_tasks"
    )
    delegated_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="delegated_tasks"
    )

    due_at = models.DateTimeField(null=True)
    timeout_seconds = models.FloatField(null=True)
    on_timeout = JSONTextField(default="return")
    escalation_level = models.PositiveSmallIntegerField(default=0)
    remind_before_seconds = JSONTextField(default=list)
    next_reminder_at = models.DateTimeField(null=True)
    reminded = JSONTextField(default=list, help_text="The reminders that were given.")

    claimed_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, related_name="claimed_tasks"
    )
    claim_token = models.UUIDField(null=True, help_text="Proves who holds the lease.")
    claim_expires_at = models.DateTimeField(null=True)

    action = models.CharField(max_length=120, null=True)  # noqa: DJ001 - null is no action
    value = JSONTextField(null=True)
    comment = models.TextField(null=True)  # noqa: DJ001 - null is no comment
    timed_out = models.BooleanField(default=False)
    cancelled_reason = models.CharField(max_length=20, choices=CancelReason, blank=True)
    decided_by = JSONTextField(null=True)
    channel = models.CharField(max_length=10, choices=Channel, blank=True)
    completed_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    objects = TaskQuerySet.as_manager()

    class Meta:
        verbose_name = "task"
        ordering = ("-created_at", "-id")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["workspace", "agent", "key"],
                condition=Q(key__isnull=False),
                name="task_key_once",
            ),
            models.UniqueConstraint(
                fields=["tool_call"],
                # An alert never blocks: it may be pending beside an approval of the same call.
                condition=Q(status="pending", tool_call__isnull=False)
                & ~Q(kind=Kind.ANOMALY_ALERT),
                name="task_one_pending_for_a_call",
            ),
            models.CheckConstraint(condition=Q(status__in=TaskStatus.values), name="task_status"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["workspace", "status", "-created_at", "-id"], name="task_list"),
            models.Index(fields=["workspace", "-created_at", "-id"], name="task_newest"),
            models.Index(fields=["workspace", "-completed_at", "-id"], name="task_decided"),
            models.Index(
                fields=["workspace", "agent", "-completed_at", "-id"], name="task_decided_of_agent"
            ),
            models.Index(
                fields=["workspace", "agent", "created_at", "id"],
                condition=Q(status="pending"),
                name="task_pending_of_agent",
            ),
            models.Index(
                fields=["workspace", "kind", "created_at", "id"],
                condition=Q(status="pending"),
                name="task_pending_of_kind",
            ),
            models.Index(
                fields=["session"],
                condition=Q(kind__in=["anomaly_alert", "anomaly_review"]),
                name="task_anomaly_in_session",
            ),
            models.Index(fields=["due_at"], condition=Q(status="pending"), name="task_due"),
            models.Index(
                F("workspace"),
                DUE_OR_NEVER,
                F("id"),
                condition=Q(status="pending"),
                name="task_by_deadline",
            ),
            models.Index(F("workspace"), DUE_OR_NEVER, F("id"), name="task_by_deadline_any_status"),
            models.Index(fields=["run"], condition=Q(status="pending"), name="task_open_in_run"),
            models.Index(
                fields=["next_reminder_at"],
                condition=Q(next_reminder_at__isnull=False),
                name="task_remind",
            ),
            models.Index(
                fields=["claim_expires_at"],
                condition=Q(claim_expires_at__isnull=False),
                name="task_lease",
            ),
            models.Index(
                fields=["workspace"],
                condition=Q(status="pending", unroutable=True),
                name="task_unroutable",
            ),
            models.Index(
                fields=["workspace"],
                condition=Q(status="pending", about=About.OUTCOME),
                name="task_unknown",
            ),
            models.Index(
                F("workspace"), Upper("participant"), F("created_at").desc(), name="task_of_person"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Decision(WorkspaceModel):
    """The one terminal act on a task; there is never a second."""

    task = models.OneToOneField(UserTask, on_delete=models.PROTECT, related_name="decision")
    act = models.CharField(
        max_length=10,
        choices=[("decided", "Decided"), ("timed_out", "Timed out"), ("cancelled", "Cancelled")],
    )
    action = models.CharField(max_length=120, null=True)  # noqa: DJ001 - null is no action
    revision = models.PositiveIntegerField()
    digest = models.CharField(max_length=80, blank=True)
    decided_by = JSONTextField(null=True)
    channel = models.CharField(max_length=10, choices=Channel)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.task}: {self.action or self.act}"
