import uuid

from django.db import models
from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """A time-ordered id (UUID version 7, RFC 9562)."""
    return uuid7()


class WorkspaceModel(models.Model):
    """A row of one workspace, with a time-ordered id.

    `created_at` is given by the service, from the database's clock.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        "accounts_app.Workspace", on_delete=models.PROTECT, related_name="+", editable=False
    )
    created_at = models.DateTimeField(editable=False)

    class Meta:
        abstract = True
