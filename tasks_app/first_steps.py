"""What a new workspace still lacks before an agent can ask somebody."""

from dataclasses import dataclass

from django.db.models import Q
from django.urls import reverse

from accounts_app.clock import db_now
from accounts_app.models import Agent, ApiKey
from accounts_app.scoping import Actor
from accounts_app.states import Permission
from integrations_app.models import Integration, Operation, Session

ASKS = Q(requires_approval=True) | Q(
    requires_approval__isnull=True, integration__requires_approval=True
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to set up: what it is called, what it is for, and where it is done."""

    label: str
    purpose: str
    link: str


def first_steps(actor: Actor) -> list[Step]:
    """What is missing and this person may set up; nothing once an agent has opened a session.

    Args:
        actor: who looks at the workspace.
    """
    writes = actor.can(Permission.WRITE_CATALOGUE)
    manages = actor.can(Permission.MANAGE_WORKSPACE)
    workspace = actor.workspace_id
    if not (writes or manages) or Session.objects.in_workspace(workspace).exists():
        return []
    return [*(_of_catalogue(actor) if writes else []), *(_of_keys(actor) if manages else [])]


def _of_catalogue(actor: Actor) -> list[Step]:
    workspace = actor.workspace_id
    steps = []
    if not Integration.objects.in_workspace(workspace).exists():
        steps.append(
            Step(
                "Connect an integration",
                "a system that agents may act on, with its operations",
                reverse("admin:integration_add"),
            )
        )
    operations = Operation.objects.in_workspace(workspace)
    if not operations.filter(ASKS).exists():
        place = "operations" if operations.exists() else "integrations"
        steps.append(
            Step(
                "Switch on approval for an operation",
                "until then nobody is asked before one runs",
                reverse(f"admin:{place}"),
            )
        )
    if not Agent.objects.in_workspace(workspace).exists():
        steps.append(Step("Add an agent", "who asks, by its own name", reverse("admin:agent_add")))
    return steps


def _of_keys(actor: Actor) -> list[Step]:
    keys = ApiKey.objects.in_workspace(actor.workspace_id).filter(revoked_at__isnull=True)
    if keys.exclude(expires_at__lte=db_now()).exists():
        return []
    purpose = "with it the agent's program signs in"
    return [Step("Make an API key", purpose, reverse("admin:api_key_add"))]
