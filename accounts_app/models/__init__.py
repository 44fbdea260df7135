from accounts_app.models.agents import Agent
from accounts_app.models.api_keys import ApiKey
from accounts_app.models.audit import AuditEntry, AuditHead
from accounts_app.models.base import JSONTextField, WorkspaceModel, new_id
from accounts_app.models.plumbing import (
    ClockOffset,
    Heartbeat,
    IdempotencyRecord,
    RateCount,
    SharedCount,
    Wake,
)
from accounts_app.models.settings import WorkspaceSettings
from accounts_app.models.users import User
from accounts_app.models.workspaces import Group, Membership, Workspace

__all__ = [
    "Agent",
    "ApiKey",
    "AuditEntry",
    "AuditHead",
    "ClockOffset",
    "Group",
    "Heartbeat",
    "IdempotencyRecord",
    "JSONTextField",
    "Membership",
    "RateCount",
    "SharedCount",
    "User",
    "Wake",
    "Workspace",
    "WorkspaceModel",
    "WorkspaceSettings",
    "new_id",
]
