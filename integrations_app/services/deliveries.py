"""Sends events to webhooks: at least once, in order for each subject, one address at a time.

Whoever delivers to a webhook holds its lane, a lease on the webhook's row, so that an address
that hangs costs one worker at most; after an attempt that hung it rests, and the worker is free.
An attempt is claimed before anything is sent, which counts it and moves the next one behind the
lease: a worker that dies between sending and recording leads to one more attempt with the same
`webhook-id`, never to a lost event.
"""

import datetime as dt
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet
from standardwebhooks import Webhook as Signer

from accounts_app.clock import DbNow, db_now
from accounts_app.crypto import Unreadable
from accounts_app.faults import fault
from accounts_app.moves import advance
from accounts_app.scoping import system_actor
from accounts_app.services.unit import Unit, unit_of_work
from integrations_app.client import (
    NoAnswer,
    NotSent,
    Origin,
    OutboundPolicy,
    OutboundRequest,
    send,
)
from integrations_app.models import Delivery, OutboxEvent, Webhook
from integrations_app.services.webhooks import signing_secrets
from integrations_app.states import DELIVERY_MOVES, DELIVERY_OPEN, DeliveryStatus

HOUR = 3600.0
PAUSES = (5.0, 30.0, 300.0, 1800.0, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR, 24 * HOUR)
MAX_ATTEMPTS = len(PAUSES) + 1
TIMEOUT_SECONDS = 15.0
LEASE = dt.timedelta(seconds=90)
"""Longer than an attempt can take: resolving, connecting to four addresses, TLS, the answer."""

TURN_SECONDS = 10.0
"""So long a worker stays with one webhook before others have their turn."""

SLOW_SECONDS = 1.0
FIRST_REST, LONGEST_REST = 5.0, 300.0
GONE = 410
MAX_ANSWER_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn with a webhook came to.

    Args:
        attempts: how many requests were made.
        retry_in: seconds until something is due; None when nothing is, or another worker sees
            to it.
    """

    attempts: int
    retry_in: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What one attempt came to; `status_code` None says that no answer came."""

    status_code: int | None
    error: str = ""
    hung: bool = False


def deliver(webhook_id: UUID) -> Turn:
    """Send what is due to one webhook; harmless however often it is asked for.

    Args:
        webhook_id: a hint; what is due is seen from the rows.
    """
    lane = _take_lane(webhook_id)
    if lane is None:
        return Turn(0)
    attempts, begun = 0, time.monotonic()
    try:
        while time.monotonic() - begun < TURN_SECONDS:
            delivery = _claim(lane)
            if delivery is None:
                break
            attempts += 1
            told = _tell(delivery)
            fault("webhook.after_send")
            _record(lane, delivery, told)
            if told.hung:
                break
    finally:
        Webhook.objects.filter(pk=webhook_id, lane_token=lane.lane_token).update(
            lane_token=None, lane_until=None
        )
    # Asked after the lane is free: who was turned away at it has committed before.
    return Turn(attempts, _next_in(webhook_id))


def deliver_all(webhook_id: UUID) -> int:
    """Turns with one webhook until nothing is due; returns how many requests were made."""
    attempts = 0
    while True:
        turn = deliver(webhook_id)
        attempts += turn.attempts
        if turn.retry_in != 0 or not turn.attempts:
            return attempts


def due_webhooks(limit: int) -> list[UUID]:
    """Webhooks with something to send that nobody is sending, the longest overdue first."""
    rows = _due(Delivery.objects.filter(webhook__in=_free_lanes()))
    found = rows.order_by().values("webhook").annotate(first=Min("next_attempt_at"))
    return [row["webhook"] for row in found.order_by("first", "webhook")[:limit]]


def _free_lanes() -> QuerySet[Webhook]:
    rows = Webhook.objects.filter(enabled=True)
    rows = rows.filter(Q(lane_until__isnull=True) | Q(lane_until__lte=DbNow()))
    return rows.filter(Q(rests_until__isnull=True) | Q(rests_until__lte=DbNow()))


def _take_lane(webhook_id: UUID) -> Webhook | None:
    token = uuid.uuid4()
    taken = _free_lanes().filter(pk=webhook_id)
    if not taken.update(lane_token=token, lane_until=db_now() + LEASE):
        return None
    return Webhook.objects.filter(pk=webhook_id, lane_token=token).first()


def _first_in_order() -> QuerySet[Delivery]:
    """Open deliveries with none before them for the same webhook and subject."""
    earlier = Delivery.objects.filter(
        webhook=OuterRef("webhook"), subject_id=OuterRef("subject_id"), status__in=DELIVERY_OPEN
    ).filter(
        Q(created_at__lt=OuterRef("created_at"))
        | Q(created_at=OuterRef("created_at"), pk__lt=OuterRef("pk"))
    )
    return Delivery.objects.filter(~Exists(earlier), status__in=DELIVERY_OPEN, held=False)


def _due(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    return rows.filter(pk__in=_first_in_order().values("pk"), next_attempt_at__lte=DbNow())


def _claim(lane: Webhook) -> Delivery | None:
    """Count the next attempt that is due, before it is made; None when there is none."""
    with unit_of_work() as unit:
        mine = Webhook.objects.filter(
            pk=lane.pk, lane_token=lane.lane_token, lane_until__gt=DbNow(), enabled=True
        )
        if not mine.update(lane_until=unit.now + LEASE):
            return None
        due = _due(Delivery.objects.filter(webhook=lane)).filter(attempts__lt=MAX_ATTEMPTS)
        delivery = due.select_related("event").order_by("created_at", "pk").first()
        if delivery is None:
            return None
        token = uuid.uuid4()
        claimed = Delivery.objects.filter(
            pk=delivery.pk, status__in=DELIVERY_OPEN, attempts=delivery.attempts
        ).update(attempts=F("attempts") + 1, claim=token, next_attempt_at=unit.now + LEASE)
        if not claimed:
            return None
    delivery.attempts += 1
    delivery.claim = token
    delivery.webhook = lane
    return delivery


def body_of(event: OutboxEvent) -> bytes:
    """The bytes that are signed and sent, the same at every attempt."""
    timestamp = event.created_at.astimezone(dt.UTC).isoformat(timespec="microseconds")
    content = {
        "type": event.type,
        "timestamp": timestamp.replace("+00:00", "Z"),
        "data": event.data,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def signed_headers(
    delivery_id: UUID, body: bytes, secrets: list[str], at: dt.datetime
) -> tuple[tuple[str, str], ...]:
    """The headers of Standard Webhooks; each live secret signs."""
    text = body.decode()
    signatures = [Signer(secret).sign(str(delivery_id), at, text) for secret in secrets]
    return (
        ("webhook-id", str(delivery_id)),
        ("webhook-timestamp", str(int(at.timestamp()))),
        ("webhook-signature", " ".join(signatures)),
    )


def _tell(delivery: Delivery) -> Told:
    """Make one request, outside of any transaction."""
    webhook = delivery.webhook
    body = body_of(delivery.event)
    # The receiver compares this with its own clock, so it is ours and not the database's.
    at = dt.datetime.now(dt.UTC)
    try:
        signed = signed_headers(delivery.pk, body, signing_secrets(webhook, at), at)
    except Unreadable:
        return Told(None, "secret_unreadable")
    headers = (
        ("Content-Type", "application/json"),
        ("User-Agent", "Assent-Webhooks/1"),
        *signed,
    )
    policy = OutboundPolicy(
        origin=Origin.of(webhook.url),
        allow_private=webhook.allow_private_network,
        timeout_seconds=TIMEOUT_SECONDS,
        max_body_bytes=MAX_ANSWER_BYTES,
    )
    request = OutboundRequest("POST", webhook.url, headers, body)
    begun = time.monotonic()
    try:
        answer = send(request, policy, before_first_byte=lambda: None)
    except (NotSent, NoAnswer) as failure:
        hung = time.monotonic() - begun > SLOW_SECONDS
        return Told(None, failure.code, hung=hung)
    return Told(answer.status_code)


def _record(lane: Webhook, delivery: Delivery, told: Told) -> None:
    """Write down what became of an attempt, unless the claim was lost meanwhile."""
    delivered = told.status_code is not None and 200 <= told.status_code < 300
    with unit_of_work() as unit:
        rows = Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim)
        more: dict[str, Any] = {
            "claim": None,
            "last_status_code": told.status_code,
            "last_error": told.error,
        }
        if delivered:
            more |= {"delivered_at": unit.now, "next_attempt_at": None}
            status = DeliveryStatus.DELIVERED
        elif told.status_code == GONE or delivery.attempts >= MAX_ATTEMPTS:
            more |= {"next_attempt_at": None}
            status = DeliveryStatus.DEAD
        else:
            pause = dt.timedelta(seconds=PAUSES[delivery.attempts - 1])
            more |= {"next_attempt_at": unit.now + pause}
            status = DeliveryStatus.FAILED
        advance(rows, DELIVERY_MOVES, status, **more)
        if told.status_code == GONE:
            _switch_off(unit, lane)
        _note_rest(lane, told, unit.now)


def _switch_off(unit: Unit, lane: Webhook) -> None:
    rows = Webhook.objects.filter(pk=lane.pk, enabled=True)
    if rows.update(enabled=False, disabled_reason="The address answered 410 Gone."):
        actor = system_actor(lane.workspace_id, "webhooks")
        unit.audit(actor, "webhook.switched_off", ("webhook", lane.pk, lane.slug))


def _note_rest(lane: Webhook, told: Told, now: dt.datetime) -> None:
    if told.hung:
        # Never longer than the pause of a delivery that was tried as often.
        seconds = min(FIRST_REST * 2 ** min(lane.hung_in_a_row, 10), LONGEST_REST)
        lane.hung_in_a_row += 1
        rests_until = now + dt.timedelta(seconds=seconds)
    elif lane.hung_in_a_row:
        lane.hung_in_a_row, rests_until = 0, None
    else:
        return
    Webhook.objects.filter(pk=lane.pk).update(
        hung_in_a_row=lane.hung_in_a_row, rests_until=rests_until
    )


def _next_in(webhook_id: UUID) -> float | None:
    webhook = Webhook.objects.filter(pk=webhook_id, enabled=True).first()
    rows = _first_in_order().filter(webhook=webhook_id)
    first = rows.aggregate(at=Min("next_attempt_at"))["at"]
    if webhook is None or first is None:
        return None
    at: dt.datetime = max(first, webhook.rests_until or first)
    return max(0.0, (at - db_now()).total_seconds())


def bury_exhausted(limit: int) -> int:
    """Give up the deliveries whose last attempt was never recorded; returns how many."""
    rows = Delivery.objects.filter(
        status__in=DELIVERY_OPEN, attempts__gte=MAX_ATTEMPTS, next_attempt_at__lte=DbNow()
    )
    found = list(rows.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])
    with unit_of_work():
        return advance(
            rows.filter(pk__in=found),
            DELIVERY_MOVES,
            DeliveryStatus.DEAD,
            claim=None,
            next_attempt_at=None,
            last_error="no_answer",
        )
