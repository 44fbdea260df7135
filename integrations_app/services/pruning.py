"""What is no evidence and has grown old goes; the audit trail is never touched.

Tasks, decisions, calls and the audit trail stay: they are what the product is kept for, and the
chain stays verifiable. Events that were delivered, and sign-in sessions that are over, go, and
with them what the higher parts name through a hook.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session as SignIn
from django.db.models import Exists, OuterRef, QuerySet

from accounts_app.clock import db_now
from integrations_app.models import Delivery, OutboxEvent
from integrations_app.services.hooks import hooks
from integrations_app.states import DELIVERY_OPEN

BATCH = 2_000


def prune(*, keep_days: int | None = None) -> dict[str, int]:
    """Delete what is older than so many days, in small transactions; harmless beside traffic.

    Args:
        keep_days: ASSENT_KEEP_DAYS when left out; 0 keeps everything.

    Returns:
        How many rows of each kind went.
    """
    days = settings.ASSENT_KEEP_DAYS if keep_days is None else keep_days
    now = db_now()
    done = {"sign_ins": SignIn.objects.filter(expire_date__lt=now).delete()[0]}
    if days <= 0:
        return done
    before = now - dt.timedelta(days=days)
    done["deliveries"] = delete_in_batches(
        lambda: Delivery.objects.filter(created_at__lt=before).exclude(status__in=DELIVERY_OPEN)
    )
    # An event goes only when nobody has still to be told of it.
    waits = Delivery.objects.filter(event=OuterRef("pk"))
    done["events"] = delete_in_batches(
        lambda: OutboxEvent.objects.filter(~Exists(waits), created_at__lt=before)
    )
    return done | hooks.prune(before)


def delete_in_batches(rows: Callable[[], QuerySet[Any]]) -> int:
    """Delete these rows, the oldest first, in small transactions; returns how many."""
    total = 0
    while True:
        found = list(rows().order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not found:
            return total
        total += rows().model._default_manager.filter(pk__in=found).delete()[0]
