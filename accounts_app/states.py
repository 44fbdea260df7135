"""Roles, scopes and what each of them may do, as data (the role table of the design)."""

from django.db.models import TextChoices


class Role(TextChoices):
    """What a member of a workspace is there for."""

    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    GUARD_ANALYST = "guard_analyst", "Guard analyst"
    INTEGRATION_ADMIN = "integration_admin", "Integration admin"
    WORKSPACE_ADMIN = "workspace_admin", "Workspace admin"
    AUDITOR = "auditor", "Auditor"


class Scope(TextChoices):
    """What an API key is good for; the contract's list."""

    RUNS = "runs", "Runs: what an agent's runtime does"
    READ = "read", "Read everything"
    DECIDE = "decide", "Decide tasks"
    ADMIN = "admin", "Administer integrations, operations, agents, rules, webhooks"


class ActorType(TextChoices):
    USER = "user", "Person"
    API_KEY = "api_key", "API key"
    SYSTEM = "system", "Assent"


class Channel(TextChoices):
    """The way in through which an act came."""

    BACKOFFICE = "backoffice", "Back office"
    API = "api", "API"
    SYSTEM = "system", "System"


class Permission(TextChoices):
    """What a role in a workspace may do; pages and services ask for these, never for roles.

    The labels end the sentence “Your roles do not include …”.
    """

    SEE_ALL_TASKS = "see_all_tasks", "seeing all tasks"
    SEE_OWN_QUEUE = "see_own_queue", "seeing the queue"
    SEE_SUMMARIES = "see_summaries", "seeing the headers of tasks"
    SEE_ANOMALIES = "see_anomalies", "seeing what the guard paused"
    SEE_MASKED = "see_masked", "seeing all tasks masked"
    DECIDE_TASKS = "decide_tasks", "deciding tasks"
    DECIDE_ANOMALIES = "decide_anomalies", "deciding what the guard paused, and triage"
    READ_CATALOGUE = "read_catalogue", "reading agents, integrations and operations"
    WRITE_CATALOGUE = "write_catalogue", "changing agents, integrations, operations and rules"
    MANAGE_WORKSPACE = "manage_workspace", "managing members, keys and webhooks"
    READ_OWN_AUDIT = "read_own_audit", "reading the audit log of one's own acts"
    READ_AUDIT = "read_audit", "reading the audit log"
    EXPORT_AUDIT = "export_audit", "exporting the audit log"


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.SEE_SUMMARIES, Permission.READ_CATALOGUE}),
    Role.OPERATOR: frozenset(
        {
            Permission.SEE_OWN_QUEUE,
            Permission.DECIDE_TASKS,
            Permission.READ_CATALOGUE,
            Permission.READ_OWN_AUDIT,
        }
    ),
    Role.GUARD_ANALYST: frozenset(
        {
            Permission.SEE_ANOMALIES,
            Permission.DECIDE_ANOMALIES,
            Permission.READ_CATALOGUE,
            Permission.READ_OWN_AUDIT,
        }
    ),
    Role.INTEGRATION_ADMIN: frozenset(
        {Permission.READ_CATALOGUE, Permission.WRITE_CATALOGUE, Permission.READ_OWN_AUDIT}
    ),
    Role.WORKSPACE_ADMIN: frozenset(
        {
            Permission.SEE_ALL_TASKS,
            Permission.DECIDE_TASKS,
            Permission.DECIDE_ANOMALIES,
            Permission.READ_CATALOGUE,
            Permission.WRITE_CATALOGUE,
            Permission.MANAGE_WORKSPACE,
            Permission.READ_AUDIT,
        }
    ),
    Role.AUDITOR: frozenset(
        {
            Permission.SEE_MASKED,
            Permission.READ_CATALOGUE,
            Permission.READ_AUDIT,
            Permission.EXPORT_AUDIT,
        }
    ),
}


def permissions_of(roles: frozenset[Role]) -> frozenset[Permission]:
    """Everything that these roles may do together."""
    return frozenset().union(*(PERMISSIONS[role] for role in roles))
