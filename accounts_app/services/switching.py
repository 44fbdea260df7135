"""The workspaces that a person may choose from."""

from uuid import UUID

from accounts_app.errors import NotFound
from accounts_app.models import Membership, User, Workspace


def workspaces_of(user: User) -> list[Workspace]:
    """Where this person is an active member, by name."""
    mine = Membership.objects.filter(user=user, is_active=True).values("workspace")
    return list(Workspace.objects.filter(pk__in=mine).order_by("name"))


def choose_workspace(user: User, workspace_id: UUID) -> Workspace:
    """One of them.

    Raises:
        NotFound: not there, or they are no active member of it.
    """
    for workspace in workspaces_of(user):
        if workspace.pk == workspace_id:
            return workspace
    raise NotFound("There is no such workspace.")
