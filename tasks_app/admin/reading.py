"""Model pages of what people were asked and what they did; headers only, as an auditor sees."""

from typing import ClassVar

from django.contrib import admin

from accounts_app.backoffice.base import SafeModelAdmin
from accounts_app.states import Permission
from integrations_app.admin.reading import OfWorkspace
from tasks_app.models import Comment, Decision, DraftRevision, Message, Reviewer, UserTask, Vote

RECORDS = (Permission.READ_AUDIT,)


@admin.register(UserTask)
class UserTaskAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("title", "kind", "agent", "status", "action", "timed_out", "created_at")
    list_select_related = ("agent",)
    list_filter = ("status", "kind", "timed_out", "unroutable")
    search_fields = ("title", "agent__slug", "participant", "key")
    shown: ClassVar = (
        "title",
        "kind",
        "status",
        "agent",
        "session",
        "run",
        "tool_call",
        "key",
        "participant",
        "revision",
        "digest",
        "quorum",
        "unroutable",
        "assigned_to",
        "claimed_by",
        "due_at",
        "escalation_level",
        "action",
        "timed_out",
        "cancelled_reason",
        "channel",
        "created_at",
        "completed_at",
    )


@admin.register(Decision)
class DecisionAdmin(OfWorkspace):
    view_permissions = RECORDS
    list_display = ("task", "act", "action", "revision", "channel", "created_at")
    list_select_related = ("task",)
    list_filter = ("act", "channel")
    search_fields = ("action", "task__title")
    shown: ClassVar = ("task", "act", "action", "revision", "digest", "channel", "created_at")


@admin.register(Vote)
class VoteAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("task", "voter", "action", "revision", "channel", "created_at")
    list_select_related = ("task",)
    list_filter = ("channel",)
    search_fields = ("action", "voter", "task__title")
    shown: ClassVar = ("task", "voter", "action", "revision", "digest", "channel", "created_at")


@admin.register(Comment)
class CommentAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("task", "type", "channel", "created_at")
    list_select_related = ("task",)
    list_filter = ("type", "channel")
    search_fields = ("task__title",)
    shown: ClassVar = ("task", "type", "revision", "channel", "created_at")


@admin.register(DraftRevision)
class DraftRevisionAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("task", "revision", "channel", "created_at")
    list_select_related = ("task",)
    list_filter = ("channel",)
    search_fields = ("task__title",)
    ordering = ("-created_at",)
    shown: ClassVar = ("task", "revision", "channel", "created_at")


@admin.register(Message)
class MessageAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("session", "run", "role", "scope", "created_at")
    list_select_related = ("session", "run")
    list_filter = ("role",)
    search_fields = ("scope", "session__title")
    ordering = ("-created_at",)
    shown: ClassVar = ("session", "run", "role", "scope", "task", "created_at")


@admin.register(Reviewer)
class ReviewerAdmin(SafeModelAdmin):
    view_permissions = RECORDS
    list_display = ("task", "user", "group", "level", "created_at")
    list_select_related = ("task", "user", "group")
    search_fields = ("task__title", "user__username", "group__name")
    ordering = ("-created_at",)
    shown: ClassVar = ("task", "user", "group", "level", "created_at")
