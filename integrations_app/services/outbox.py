"""What became true, written in the transaction that made it so."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from accounts_app.services.unit import Unit
from integrations_app.models import OutboxEvent


def announce(
    unit: Unit, workspace_id: UUID, type: str, subject_id: UUID, data: Mapping[str, Any]
) -> None:
    """Note an event of the contract's list, for webhooks.

    Args:
        unit: the transaction that made it true.
        workspace_id: whose event it is.
        type: for instance `task.completed`.
        subject_id: the object that it is about.
        data: a summary; never sensitive values.
    """
    OutboxEvent.objects.create(
        workspace_id=workspace_id,
        created_at=unit.now,
        type=type,
        subject_id=subject_id,
        data=dict(data),
    )
