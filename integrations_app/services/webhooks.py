"""Webhooks as an admin keeps them: where events go, and the secret that signs them."""

import base64
import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import UUID

from accounts_app import crypto
from accounts_app.clock import DbNow
from accounts_app.errors import Conflict, FieldError, Invalid, NotFound
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.rotation import also_rotate, rotated_text
from accounts_app.services.unit import unit_of_work
from integrations_app.addresses import literal_is_refused
from integrations_app.client import Origin
from integrations_app.models import Delivery, Webhook
from integrations_app.services.outbox import DELIVER, announce_ping
from integrations_app.states import DELIVERY_MOVES, DeliveryStatus, EventType

register_verbs(
    {
        "webhook.created": "added the webhook",
        "webhook.changed": "changed the webhook",
        "webhook.rotated": "gave the webhook a new secret",
        "webhook.pinged": "tried the webhook",
        "webhook.redelivered": "sent an event to the webhook again",
        "webhook.switched_off": "the webhook answered that it is gone",
    }
)
SECRET_MARK = "whsec_"  # noqa: S105 - the mark of all secrets, not one of them
SECRET_BYTES = 32
OVERLAP = dt.timedelta(hours=24)
"""So long a secret that was rotated out still signs beside the new one."""

MAX_FORMER = 3


@dataclass(frozen=True, slots=True)
class WebhookValues:
    """The members of `PUT webhooks/{slug}`."""

    url: str
    events: tuple[str, ...]
    allow_private_network: bool = False
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Put:
    """What became of it; the secret only where it is new."""

    webhook: Webhook
    created: bool
    secret: str | None


def put_webhook(actor: Actor, slug: str, values: WebhookValues) -> Put:
    """Create the webhook or bring it to this state.

    Raises:
        Invalid: an address that cannot be, `private_address`, or an unknown event.
    """
    _check_url(values)
    _check_events(values.events)
    with unit_of_work() as unit:
        rows = Webhook.objects.in_workspace(actor.workspace_id).select_for_update(no_key=True)
        present = rows.filter(slug=slug).first()
        secret = None if present else _new_secret()
        webhook = present or Webhook(
            workspace_id=actor.workspace_id, slug=slug, created_at=unit.now
        )
        if secret:
            webhook.secret_sealed = crypto.seal(secret.encode(), place=_place(webhook))
        if values.enabled and not webhook.enabled:
            webhook.disabled_reason = ""
            unit.ring(DELIVER, webhook.pk)
        if webhook.url != values.url:
            webhook.rests_until, webhook.hung_in_a_row = None, 0
        webhook.url = values.url
        webhook.events = list(values.events)
        webhook.allow_private_network = values.allow_private_network
        webhook.enabled = values.enabled
        webhook.save()
        facts = {
            # Path and query may carry a credential of the receiver.
            "host": Origin.of(values.url).host,
            "events": list(values.events),
            "enabled": values.enabled,
            "allow_private_network": values.allow_private_network,
        }
        verb = "webhook.changed" if present else "webhook.created"
        unit.audit(actor, verb, ("webhook", webhook.pk, slug), facts)
    return Put(webhook, present is None, secret)


def rotate_secret(actor: Actor, webhook: Webhook) -> str:
    """Make a new secret; the former one still signs beside it for a day.

    Returns:
        The new secret, which can never be read again.
    """
    secret = _new_secret()
    with unit_of_work() as unit:
        row = Webhook.objects.select_for_update(no_key=True).get(pk=webhook.pk)
        former = {
            "sealed": base64.b64encode(bytes(row.secret_sealed)).decode(),
            "until": (unit.now + OVERLAP).isoformat(),
        }
        kept = [item for item in row.former_secrets if _is_live(item, unit.now)]
        Webhook.objects.filter(pk=row.pk).update(
            secret_sealed=crypto.seal(secret.encode(), place=_place(row)),
            former_secrets=[former, *kept][:MAX_FORMER],
        )
        unit.audit(actor, "webhook.rotated", ("webhook", row.pk, row.slug))
    webhook.refresh_from_db()
    return secret


def signing_secrets(webhook: Webhook, now: dt.datetime) -> list[str]:
    """Every secret that signs now, the newest first.

    Raises:
        Unreadable: a secret was altered, or its key is gone.
    """
    sealed = [bytes(webhook.secret_sealed)]
    for item in webhook.former_secrets:
        if _is_live(item, now):
            sealed.append(base64.b64decode(item["sealed"]))
    return [crypto.unseal(token, place=_place(webhook)).decode() for token in sealed]


def former_until(webhook: Webhook) -> dt.datetime | None:
    """Until when a former secret signs beside the present one."""
    ends = [dt.datetime.fromisoformat(item["until"]) for item in webhook.former_secrets]
    return max(ends, default=None)


def ping(actor: Actor, webhook: Webhook) -> Delivery:
    """Send an event that means nothing, to try the address.

    Raises:
        Conflict: `webhook_disabled`.
    """
    with unit_of_work() as unit:
        _refuse_disabled(webhook)
        delivery = announce_ping(unit, webhook)
        unit.audit(actor, "webhook.pinged", ("webhook", webhook.pk, webhook.slug))
    return delivery


def redeliver(actor: Actor, delivery: Delivery) -> Delivery:
    """Send an event again, now, with the same `webhook-id` and all attempts anew.

    Raises:
        Conflict: `webhook_disabled`.
    """
    with unit_of_work() as unit:
        _refuse_disabled(delivery.webhook)
        advance(
            Delivery.objects.filter(pk=delivery.pk),
            DELIVERY_MOVES,
            DeliveryStatus.PENDING,
            attempts=0,
            claim=None,
            delivered_at=None,
            next_attempt_at=DbNow(),
        )
        # Asked for by a person: an address that rests is tried at once.
        Webhook.objects.filter(pk=delivery.webhook_id).update(rests_until=None)
        webhook = delivery.webhook
        facts = {"delivery": str(delivery.pk)}
        unit.audit(actor, "webhook.redelivered", ("webhook", webhook.pk, webhook.slug), facts)
        unit.ring(DELIVER, webhook.pk)
    delivery.refresh_from_db()
    return delivery


def given_up(actor: Actor) -> int:
    """How many deliveries of live webhooks were given up, for the navigation; 100 at most."""
    rows = Delivery.objects.visible_to(actor).filter(
        status=DeliveryStatus.DEAD, webhook__enabled=True
    )
    return rows.order_by().values("pk")[:100].count()


def get_webhook(actor: Actor, slug: str) -> Webhook:
    """One visible webhook.

    Raises:
        NotFound: not there, or not visible.
    """
    row = Webhook.objects.visible_to(actor).filter(slug=slug).first()
    if row is None:
        raise NotFound("There is no such webhook.")
    return row


def _refuse_disabled(webhook: Webhook) -> None:
    if not webhook.enabled:
        text = "The webhook is switched off; enable it first."
        raise Conflict(text, code="webhook_disabled")


def _check_url(values: WebhookValues) -> None:
    try:
        origin = Origin.of(values.url)
    except ValueError as error:
        _refuse("url", str(error))
    if not values.url.isascii() or not values.url.isprintable() or " " in values.url:
        _refuse("url", "Must be printable ASCII; percent-encode what is not.")
    if "#" in values.url:
        _refuse("url", "Must not have a fragment.")
    if literal_is_refused(origin.host, allow_private=values.allow_private_network):
        text = "Leads to a private address; allow private network addresses where that is meant."
        _refuse("url", text, "private_address")


def _check_events(events: tuple[str, ...]) -> None:
    if not events:
        _refuse("events", f"Name at least one of {', '.join(EventType.values)}.", "required")
    for position, name in enumerate(events):
        if name not in EventType.values:
            _refuse(f"events.{position}", f"Choose from {', '.join(EventType.values)}.")
        if name in events[:position]:
            _refuse(f"events.{position}", f"{name} stands there twice.")


def _new_secret() -> str:
    return SECRET_MARK + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _place(webhook: Webhook) -> str:
    return f"webhook.secret:{webhook.pk}"


def _is_live(item: dict[str, Any], now: dt.datetime) -> bool:
    return dt.datetime.fromisoformat(item["until"]) > now


def get_delivery(actor: Actor, identity: UUID | None) -> Delivery:
    """One visible delivery, with its webhook and event.

    Raises:
        NotFound: not there, or not visible.
    """
    rows = Delivery.objects.visible_to(actor).select_related("webhook", "event")
    row = None if identity is None else rows.filter(pk=identity).first()
    if row is None:
        raise NotFound("There is no such delivery.")
    return row


def _refuse(field: str, detail: str, code: str = "invalid_value") -> NoReturn:
    raise Invalid([FieldError(field, code, detail)])


def _rotate_former_secrets() -> int:
    """Encrypt the secrets that were rotated out anew; returns how many."""
    done = 0
    for webhook in Webhook.objects.order_by("pk"):
        old = webhook.former_secrets
        where = f"A former secret of the webhook {webhook.slug!r}"
        new = [{**item, "sealed": rotated_text(item["sealed"], where=where)} for item in old]
        rows = Webhook.objects.filter(pk=webhook.pk, former_secrets=old)
        done += len(new) if new and rows.update(former_secrets=new) else 0
    return done


also_rotate("former webhook secrets", _rotate_former_secrets)
