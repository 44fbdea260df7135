"""Model pages of the catalogue, of what agents did, and of what was told; headers only.

Arguments, results and reasons are not among the fields: who reads here may see them masked at
most, and the pages of runs and calls know how.
"""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts_app.backoffice.base import SafeModelAdmin
from accounts_app.backoffice.requests import actor_of
from accounts_app.states import Permission
from integrations_app.models import (
    Attempt,
    Clearance,
    Delivery,
    Integration,
    Operation,
    OutboxEvent,
    Run,
    Session,
    ToolCall,
    Webhook,
)

RECORDS = (Permission.READ_AUDIT,)


@admin.register(Integration)
class IntegrationAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("name", "slug", "kind", "auth_type", "requires_approval", "enabled")
    list_filter = ("kind", "auth_type", "requires_approval", "enabled")
    search_fields = ("slug", "name", "base_url")
    shown: ClassVar = (
        "name",
        "slug",
        "kind",
        "base_url",
        "auth_type",
        "auth_version",
        "requires_approval",
        "allow_private_network",
        "enabled",
        "created_at",
    )


@admin.register(Operation)
class OperationAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("reference", "name", "method", "path", "effect", "requires_approval", "version")
    list_select_related = ("integration",)
    list_filter = ("effect", "method", "requires_approval", "enabled")
    search_fields = ("slug", "name", "path", "integration__slug")
    shown: ClassVar = (
        "integration",
        "name",
        "slug",
        "description",
        "method",
        "path",
        "effect",
        "requires_approval",
        "timeout_seconds",
        "enabled",
        "version",
        "created_at",
    )


@admin.register(Session)
class SessionAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("title", "agent", "status", "participant", "created_at", "ended_at")
    list_select_related = ("agent",)
    list_filter = ("status",)
    search_fields = ("title", "participant", "agent__slug", "key")
    shown: ClassVar = (
        "title",
        "agent",
        "key",
        "participant",
        "status",
        "end_reason",
        "starter",
        "opened_by",
        "created_at",
        "ended_at",
    )


@admin.register(Run)
class RunAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("title", "agent", "session", "status", "created_at", "ended_at")
    list_select_related = ("agent", "session")
    list_filter = ("status",)
    search_fields = ("title", "agent__slug", "key")
    shown: ClassVar = (
        "title",
        "session",
        "agent",
        "parent",
        "key",
        "status",
        "created_at",
        "ended_at",
    )


@admin.register(ToolCall)
class ToolCallAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("operation", "agent", "status", "attempts", "created_at", "finished_at")
    list_select_related = ("operation__integration", "agent")
    list_filter = ("status", "approval_required", "held")
    search_fields = ("operation__slug", "operation__integration__slug", "agent__slug", "key")
    shown: ClassVar = (
        "operation",
        "operation_version",
        "run",
        "agent",
        "status",
        "key",
        "approval_required",
        "arguments_digest",
        "request_digest",
        "attempts",
        "held",
        "created_at",
        "decided_at",
        "queued_at",
        "sent_at",
        "started_at",
        "finished_at",
    )


class OfWorkspace(SafeModelAdmin):
    """Rows that know their workspace through another row.

    Attributes:
        workspace_path: the look-up that leads to it.
    """

    workspace_path: ClassVar[str] = "workspace_id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.filter(
            **{self.workspace_path: actor_of(request).workspace_id}
        )
        return rows.order_by(*self.get_ordering(request))


@admin.register(Attempt)
class AttemptAdmin(OfWorkspace):
    view_permissions = RECORDS
    workspace_path = "call__workspace_id"
    list_display = ("call", "fence", "outcome", "status_code", "late", "sent_at", "ended_at")
    list_select_related = ("call__operation__integration",)
    list_filter = ("late",)
    search_fields = ("outcome",)
    ordering = ("-claimed_at",)
    shown: ClassVar = (
        "call",
        "fence",
        "outcome",
        "detail",
        "status_code",
        "late",
        "claimed_at",
        "sent_at",
        "ended_at",
    )


@admin.register(Clearance)
class ClearanceAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("call", "digest", "created_at")
    list_select_related = ("call__operation__integration",)
    search_fields = ("digest",)
    shown: ClassVar = ("call", "digest", "decision_id", "created_at")


@admin.register(OutboxEvent)
class OutboxEventAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("type", "subject_id", "created_at")
    list_filter = ("type",)
    search_fields = ("type",)
    ordering = ("-created_at",)
    shown: ClassVar = ("type", "subject_id", "created_at")


@admin.register(Webhook)
class WebhookAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("slug", "enabled", "disabled_reason", "created_at")
    list_filter = ("enabled",)
    search_fields = ("slug",)
    shown: ClassVar = (
        "slug",
        "events",
        "enabled",
        "disabled_reason",
        "allow_private_network",
        "rests_until",
        "created_at",
    )


@admin.register(Delivery)
class DeliveryAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("event", "webhook", "status", "attempts", "last_status_code", "created_at")
    list_select_related = ("event", "webhook")
    list_filter = ("status", "held")
    search_fields = ("event__type", "webhook__slug")
    shown: ClassVar = (
        "webhook",
        "event",
        "status",
        "attempts",
        "last_status_code",
        "last_error",
        "next_attempt_at",
        "delivered_at",
        "held",
        "created_at",
    )
