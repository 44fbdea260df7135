"""Model pages of the guard: hits and what they decided, incidents, rules, replays; headers only.

What a hit explains can quote arguments, so it stands on the pages of runs and incidents alone.
"""

from typing import ClassVar

from django.contrib import admin

from accounts_app.backoffice.base import SafeModelAdmin
from accounts_app.states import Permission
from guard_app.models import Detection, GuardRule, Incident, Replay

RECORDS = (Permission.READ_AUDIT,)


@admin.register(Detection)
class DetectionAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("rule", "effect", "decided", "shadow", "failed", "agent", "created_at")
    list_select_related = ("rule", "agent")
    list_filter = ("effect", "decided", "shadow", "failed")
    search_fields = ("rule__slug", "rule__name", "agent__slug")
    shown: ClassVar = (
        "rule",
        "rule_version",
        "tool_call",
        "agent",
        "incident",
        "effect",
        "decided",
        "shadow",
        "failed",
        "refused_edit_by",
        "created_at",
    )


@admin.register(Incident)
class IncidentAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("rule", "agent", "operation", "status", "severity", "count", "last_seen_at")
    list_select_related = ("rule", "agent", "operation__integration")
    list_filter = ("status", "severity")
    search_fields = ("rule__slug", "rule__name", "agent__slug")
    shown: ClassVar = (
        "rule",
        "agent",
        "operation",
        "status",
        "severity",
        "count",
        "first_seen_at",
        "last_seen_at",
        "previous",
        "assignee",
        "closed_at",
        "created_at",
    )


@admin.register(GuardRule)
class GuardRuleAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("name", "slug", "detector", "effect", "enabled", "shadow", "version")
    list_filter = ("detector", "effect", "enabled", "shadow")
    search_fields = ("slug", "name")
    shown: ClassVar = (
        "name",
        "slug",
        "detector",
        "parameters",
        "applies_to",
        "effect",
        "enabled",
        "shadow",
        "asynchronous",
        "version",
        "created_at",
    )


@admin.register(Replay)
class ReplayAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("name", "since", "until", "status", "calls", "hits", "created_at")
    list_filter = ("status",)
    search_fields = ("name",)
    shown: ClassVar = (
        "name",
        "since",
        "until",
        "status",
        "calls",
        "hits",
        "missed_rejected",
        "finished_at",
        "created_at",
    )
