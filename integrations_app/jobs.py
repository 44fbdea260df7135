"""Background jobs: hints to look at rows, harmless however often they come."""

from threading import Lock, Timer
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

_lock = Lock()
_coming: set[str] = set()


@shared_task(name=DELIVER, ignore_result=True)
def deliver(webhook_id: str) -> None:
    """Take a turn with one webhook, and come back for what is due soon."""
    turn = deliveries.deliver(UUID(webhook_id))
    if turn.retry_in is not None and (turn.attempts or turn.retry_in):
        ring_in(turn.retry_in, webhook_id)


def ring_in(seconds: float, webhook_id: str) -> None:
    """Ring for a webhook later, by one timer for each; the sweep covers the death of it."""
    with _lock:
        if seconds > NEAR_SECONDS or webhook_id in _coming:
            return
        _coming.add(webhook_id)
    timer = Timer(seconds, _ring, (webhook_id,))
    timer.daemon = True
    timer.start()


def _ring(webhook_id: str) -> None:
    with _lock:
        _coming.discard(webhook_id)
    import_string(settings.ASSENT_DOORBELL)(DELIVER, webhook_id)
