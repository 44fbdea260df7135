import json
import uuid
from typing import TYPE_CHECKING, Any

from django.db import models
from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    _TextField = models.JSONField[Any, Any]
else:
    _TextField = models.TextField


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


class JSONTextField(_TextField):
    """JSON kept as text, so that what was sent is read back: order, 1.0 and all.

    A JSON column is not bytes: it reorders members, drops duplicates and rounds numbers.
    """

    def from_db_value(self, value: str | None, *_: object) -> Any:
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        if value is None:
            return None
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or "null"
