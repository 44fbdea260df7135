"""Background jobs: hints to look at rows, harmless however often they come."""

from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.utils.module_loading import import_string

from integrations_app.services import deliveries, pruning
from integrations_app.services.outbox import DELIVER


@shared_task(name="integrations_app.prune", ignore_result=True)
def prune() -> None:
    """Delete what is no evidence and has grown old."""
    pruning.prune()


NEAR_SECONDS = 60.0
"""What is due later is found by the sweep."""


@shared_task(name=DELIVER, ignore_result=True)
def deliver(webhook_id: str) -> None:
    """Take a turn with one webhook, and let the broker bring back what is due soon.

    Only who made an attempt asks for the next one, so that the messages about a webhook that fails
    do not multiply. A message that is lost costs one sweep: when it is due stands in the row.
    """
    turn = deliveries.deliver(UUID(webhook_id))
    if turn.attempts and turn.retry_in is not None and turn.retry_in <= NEAR_SECONDS:
        import_string(settings.ASSENT_DOORBELL)(DELIVER, webhook_id, delay=turn.retry_in)
