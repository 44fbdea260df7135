"""Who is asking, and the one rule that keeps the rows of one workspace from another."""

from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from accounts_app.errors import Forbidden
from accounts_app.states import ActorType, Channel, Permission, Role, Scope, permissions_of

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever acts, as the credential says; nothing of it ever comes from a body.

    Args:
        type: a person, an API key, or Assent itself.
        id: the user's or key's id as text; for the system the name of the job.
        name: as it is written into decisions and the audit trail.
        workspace_id: the one workspace whose rows this actor can see.
        roles: a person's roles there.
        scopes: a key's scopes.
        agent_id: the agent that a key is bound to, if it is.
        user_id: the person: the user, or the owner of the key.
        identities: username and e-mail of that person, case-folded.
        groups: ids of the groups of that person in the workspace.
        limited_to: the agents that a member is limited to; None is all.
        channel: the way in.
        request_id: the request's id, for the audit trail.
    """

    type: ActorType
    id: str
    name: str
    workspace_id: UUID
    roles: frozenset[Role] = frozenset()
    scopes: frozenset[Scope] = frozenset()
    agent_id: UUID | None = None
    user_id: int | None = None
    identities: frozenset[str] = frozenset()
    groups: frozenset[UUID] = frozenset()
    limited_to: frozenset[UUID] | None = None
    channel: Channel = Channel.SYSTEM
    request_id: str = ""
    permissions: frozenset[Permission] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "permissions", permissions_of(self.roles))

    def can(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require_scope(self, *any_of: Scope) -> None:
        """Refuse a key that has none of these scopes.

        Raises:
            Forbidden: `insufficient_scope`, naming the scopes that would do.
        """
        if not self.scopes.intersection(any_of):
            wanted = " or ".join(f"`{scope.value}`" for scope in any_of)
            raise Forbidden(f"This key needs the scope {wanted}.", code="insufficient_scope")

    def require(self, permission: Permission) -> None:
        """Refuse a person whose roles do not permit this.

        Raises:
            Forbidden: naming the permission.
        """
        if not self.can(permission):
            raise Forbidden(f"Your roles do not include {permission.label}.")

    def as_json(self) -> dict[str, Any]:
        """The member `actor` or `decided_by` of the contract."""
        return {"type": self.type.value, "id": self.id, "name": self.name}


def system_actor(workspace_id: UUID, name: str = "assent") -> Actor:
    """Assent itself, acting on a schedule or as a consequence."""
    return Actor(type=ActorType.SYSTEM, id=name, name="Assent", workspace_id=workspace_id)


def in_request(actor: Actor, request_id: str) -> Actor:
    return replace(actor, request_id=request_id)


class WorkspaceQuerySet(QuerySet[M]):
    """Rows that belong to one workspace; `visible_to` is the only door for lists and pages.

    `agent_path` is the lookup that leads to the agent, for keys bound to one; empty where
    the rows belong to no agent.
    """

    agent_path = ""

    def in_workspace(self, workspace_id: UUID) -> Self:
        return self.filter(workspace_id=workspace_id)

    def visible_to(self, actor: Actor) -> Self:
        """The rows that this actor may know of: their workspace, and their agent where bound."""
        rows = self.in_workspace(actor.workspace_id)
        if actor.agent_id is not None and self.agent_path:
            rows = rows.filter(**{self.agent_path: actor.agent_id})
        return rows
