"""Model pages of people, agents, keys and the audit trail."""

from typing import ClassVar

from django.contrib import admin

from accounts_app.backoffice.base import SafeModelAdmin
from accounts_app.models import Agent, ApiKey, AuditEntry, Group, Membership
from accounts_app.states import Permission


@admin.register(Agent)
class AgentAdmin(SafeModelAdmin):
    view_permissions = (Permission.READ_CATALOGUE,)
    list_display = (
        "name",
        "slug",
        "tasks_enabled",
        "enabled",
        "paused_at",
        "frozen_at",
        "created_at",
    )
    list_filter = ("tasks_enabled", "enabled")
    search_fields = ("slug", "name")
    shown: ClassVar = (
        "name",
        "slug",
        "description",
        "tasks_enabled",
        "enabled",
        "paused_at",
        "paused_reason",
        "frozen_at",
        "frozen_reason",
        "approval_required_until",
        "created_at",
    )


@admin.register(Membership)
class MembershipAdmin(SafeModelAdmin):
    view_permissions = (Permission.MANAGE_WORKSPACE,)
    list_display = ("user", "email", "roles", "is_active", "created_at")
    list_select_related = ("user",)
    list_filter = ("is_active",)
    search_fields = ("user__username", "user__email")
    shown: ClassVar = ("user", "roles", "groups", "limited_to", "is_active", "created_at")

    @admin.display(description="e-mail")
    def email(self, member: Membership) -> str:
        return member.user.email


@admin.register(Group)
class GroupAdmin(SafeModelAdmin):
    view_permissions = (Permission.MANAGE_WORKSPACE,)
    list_display = ("name", "created_at")
    search_fields = ("name",)
    shown: ClassVar = ("name", "created_at")


@admin.register(ApiKey)
class ApiKeyAdmin(SafeModelAdmin):
    view_permissions = (Permission.MANAGE_WORKSPACE,)
    list_display = ("name", "prefix", "scopes", "agent", "owner", "expires_at", "last_used_at")
    list_select_related = ("agent", "owner")
    search_fields = ("name", "prefix")
    shown: ClassVar = (
        "name",
        "prefix",
        "scopes",
        "agent",
        "owner",
        "expires_at",
        "last_used_at",
        "revoked_at",
        "created_at",
    )


@admin.register(AuditEntry)
class AuditEntryAdmin(SafeModelAdmin):
    view_permissions = (Permission.READ_AUDIT,)
    list_display = ("sequence", "at", "actor_name", "verb", "target_name", "channel")
    list_filter = ("channel",)
    search_fields = ("verb", "actor_name", "target_name", "target_id")
    shown: ClassVar = (
        "sequence",
        "at",
        "verb",
        "actor_type",
        "actor_name",
        "channel",
        "request_id",
        "target_type",
        "target_id",
        "target_name",
        "data",
        "previous_hash",
        "hash",
    )
