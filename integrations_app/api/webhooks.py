from typing import Any, ClassVar

import django_filters
from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import Choice, Flag, StrictSerializer, Text, Whole, parse_id
from accounts_app.api.filters import OneOf
from accounts_app.api.paging import page_of
from accounts_app.api.views import ApiView, utc_text
from accounts_app.errors import Forbidden
from accounts_app.states import Scope
from integrations_app.models import Delivery, Webhook
from integrations_app.services import webhooks
from integrations_app.services.webhooks import WebhookValues, put_webhook
from integrations_app.states import PING, DeliveryStatus, EventType


class WebhookBody(StrictSerializer):
    url = Text(max_length=500)
    events = serializers.ListField(child=Choice(choices=EventType.choices))
    allow_private_network = Flag(required=False)
    enabled = Flag(required=False)


class WebhookShown(WebhookBody):
    slug = Text()
    disabled_reason = Text(allow_null=True)
    secret = Text(required=False)
    former_secret_until = Text(allow_null=True)
    created_at = Text()


class DeliveryShown(StrictSerializer):
    id = Text()
    type = Choice(choices=[*EventType.choices, (PING, "A ping")])
    subject = Text()
    status = Choice(choices=DeliveryStatus.choices)
    attempts = Whole()
    last_status_code = Whole(allow_null=True)
    last_error = Text(allow_null=True)
    next_attempt_at = Text(allow_null=True)
    delivered_at = Text(allow_null=True)
    created_at = Text()


class NoBody(StrictSerializer):
    pass


class DeliveryFilter(django_filters.FilterSet):
    status = OneOf(choices=DeliveryStatus.choices)
    type = OneOf(choices=[*EventType.choices, (PING, "A ping")], field_name="event__type")

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = ()


def show_webhook(row: Webhook, secret: str | None = None) -> dict[str, Any]:
    """A webhook as the API writes it; the secret only where it is new."""
    shown = {
        "slug": row.slug,
        "url": row.url,
        "events": row.events,
        "allow_private_network": row.allow_private_network,
        "enabled": row.enabled,
        "disabled_reason": row.disabled_reason or None,
        "former_secret_until": utc_text(webhooks.former_until(row)),
        "created_at": utc_text(row.created_at),
    }
    return shown if secret is None else {**shown, "secret": secret}


def show_delivery(row: Delivery) -> dict[str, Any]:
    """A delivery as the API writes it; its id is the `webhook-id` of every attempt."""
    return {
        "id": str(row.pk),
        "type": row.event.type,
        "subject": str(row.subject_id),
        "status": row.status,
        "attempts": row.attempts,
        "last_status_code": row.last_status_code,
        "last_error": row.last_error or None,
        "next_attempt_at": utc_text(row.next_attempt_at),
        "delivered_at": utc_text(row.delivered_at),
        "created_at": utc_text(row.created_at),
    }


class WebhookApiView(ApiView):
    """What the addresses of webhooks share."""

    serializer_class: type[StrictSerializer] = WebhookShown

    def require(self, *scopes: Scope) -> None:
        """Refuse keys without these scopes, and keys of one agent: webhooks are told of all.

        Raises:
            Forbidden: `insufficient_scope` or `wrong_agent`.
        """
        self.actor.require_scope(*scopes)
        if self.actor.agent_id is not None:
            text = "This key is bound to an agent; webhooks belong to the workspace."
            raise Forbidden(text, code="wrong_agent")


class WebhooksView(WebhookApiView):
    """The webhooks of the workspace."""

    lists = True

    def get(self, request: Request) -> HttpResponse:
        self.require(Scope.READ, Scope.ADMIN)
        self.refuse_unknown({"cursor", "limit"})
        return Response(page_of(request, Webhook.objects.visible_to(self.actor), show_webhook))


class WebhookView(WebhookApiView):
    """One webhook, by its slug."""

    bodies: ClassVar = {"PUT": WebhookBody}
    creates = True

    def get(self, request: Request, slug: str) -> HttpResponse:
        row = webhooks.get_webhook(self.actor, slug)
        self.require(Scope.READ, Scope.ADMIN)
        self.refuse_unknown(set())
        return Response(show_webhook(row))

    def put(self, request: Request, slug: str) -> HttpResponse:
        data = self.parsed()
        self.require(Scope.ADMIN)
        self.check_slug(slug)
        body = self.body(WebhookBody, data)
        values = WebhookValues(
            url=body["url"],
            events=tuple(body["events"]),
            allow_private_network=body.get("allow_private_network", False),
            enabled=body.get("enabled", True),
        )
        put = put_webhook(self.actor, slug, values)
        shown = show_webhook(put.webhook, put.secret)
        return Response(shown, status=201 if put.created else 200)


class WebhookRotateView(WebhookApiView):
    """Give a webhook a new secret; the former one signs beside it for a day."""

    bodies: ClassVar = {"POST": NoBody}

    def post(self, request: Request, slug: str) -> HttpResponse:
        data = self.parsed()
        row = webhooks.get_webhook(self.actor, slug)
        self.require(Scope.ADMIN)
        self.body(NoBody, data)

        def act() -> tuple[int, dict[str, Any]]:
            secret = webhooks.rotate_secret(self.actor, row)
            return 200, show_webhook(row, secret)

        return self.answer(act, sealed=True)


class WebhookPingView(WebhookApiView):
    """Send an event that means nothing, to try the address."""

    bodies: ClassVar = {"POST": NoBody}
    accepts = True
    serializer_class = DeliveryShown

    def post(self, request: Request, slug: str) -> HttpResponse:
        data = self.parsed()
        row = webhooks.get_webhook(self.actor, slug)
        self.require(Scope.ADMIN)
        self.body(NoBody, data)
        return self.answer(lambda: (202, show_delivery(webhooks.ping(self.actor, row))))


class DeliveriesView(WebhookApiView):
    """What was sent to a webhook, or is to be; one row for each event."""

    lists = True
    serializer_class = DeliveryShown
    filterset_class = DeliveryFilter

    def get(self, request: Request, slug: str) -> HttpResponse:
        row = webhooks.get_webhook(self.actor, slug)
        self.require(Scope.READ, Scope.ADMIN)
        rows = Delivery.objects.visible_to(self.actor).filter(webhook=row).select_related("event")
        return Response(page_of(request, self.filtered(DeliveryFilter, rows), show_delivery))


class RedeliverView(WebhookApiView):
    """Send an event again, with the same `webhook-id`."""

    bodies: ClassVar = {"POST": NoBody}
    accepts = True
    serializer_class = DeliveryShown

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        row = webhooks.get_delivery(self.actor, parse_id(pk))
        self.require(Scope.ADMIN)
        self.body(NoBody, data)
        return self.answer(lambda: (202, show_delivery(webhooks.redeliver(self.actor, row))))
