"""What became true, written in the transaction that made it so."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from accounts_app.models.base import new_id
from accounts_app.services.unit import Unit
from integrations_app.models import Delivery, OutboxEvent, Webhook
from integrations_app.states import PING, EventType

DELIVER = "integrations_app.deliver"


def announce(
    unit: Unit, workspace_id: UUID, type: str, subject_id: UUID, data: Mapping[str, Any]
) -> None:
    """Note an event of the contract's list, and a delivery for each webhook that wants it.

    Args:
        unit: the transaction that made it true.
        workspace_id: whose event it is.
        type: for instance `task.completed`.
        subject_id: the object that it is about; its events are delivered in order.
        data: ids, links and a masked summary; never sensitive values.

    Raises:
        ValueError: the contract has no such event.
    """
    announce_all(unit, workspace_id, type, [(subject_id, data)])


def announce_all(
    unit: Unit, workspace_id: UUID, type: str, told: Sequence[tuple[UUID, Mapping[str, Any]]]
) -> None:
    """Note the same of several objects; as many statements as for one.

    Args:
        unit: the transaction that made it true.
        workspace_id: whose events they are.
        type: see `announce`.
        told: of each, the object's id and the event's data.

    Raises:
        ValueError: the contract has no such event.
    """
    if not told:
        return
    events = OutboxEvent.objects.bulk_create(
        [
            OutboxEvent(
                workspace_id=workspace_id,
                created_at=unit.now,
                type=EventType(type).value,
                subject_id=subject_id,
                data=dict(data),
            )
            for subject_id, data in told
        ]
    )
    webhooks = Webhook.objects.in_workspace(workspace_id).filter(enabled=True)
    address(unit, events, [each for each in webhooks.only("pk", "events") if type in each.events])


def announce_ping(unit: Unit, webhook: Webhook) -> Delivery:
    """Note an event that goes to one webhook only, to try it; it waits for no other ping."""
    event = OutboxEvent.objects.create(
        workspace_id=webhook.workspace_id,
        created_at=unit.now,
        type=PING,
        subject_id=new_id(),
        data={"webhook": webhook.slug, "summary": "A ping, to try this webhook."},
    )
    return address(unit, [event], [webhook])[0]


def address(
    unit: Unit, events: Sequence[OutboxEvent], webhooks: Sequence[Webhook]
) -> list[Delivery]:
    """Make the deliveries of events to webhooks, and ring for them."""
    deliveries = Delivery.objects.bulk_create(
        [
            Delivery(
                workspace_id=event.workspace_id,
                created_at=event.created_at,
                webhook=webhook,
                event=event,
                subject_id=event.subject_id,
                next_attempt_at=event.created_at,
            )
            for event in events
            for webhook in webhooks
        ]
    )
    for webhook in webhooks:
        unit.ring(DELIVER, webhook.pk)
    return deliveries
