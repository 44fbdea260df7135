"""Webhooks: who is told what, what became of each delivery, another secret, another try."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.text import slugify

from accounts_app.backoffice.forms import BackOfficeForm, FormPage
from accounts_app.backoffice.lists import listed, say_unread
from accounts_app.backoffice.pages import Page, register
from accounts_app.errors import FieldError, Invalid, NotFound
from accounts_app.states import Permission
from integrations_app.models import Delivery, Webhook
from integrations_app.services.webhooks import (
    WebhookValues,
    former_until,
    get_webhook,
    ping,
    put_webhook,
    redeliver,
    rotate_secret,
)
from integrations_app.states import DeliveryStatus, EventType

MANAGE = (Permission.MANAGE_WORKSPACE,)
PARENTS = (("Webhooks", "admin:webhooks"),)
ADVICE = (
    "Put it into the receiver now: it verifies every message with it (Standard Webhooks), and it"
    " cannot be shown again."
)


class WebhookForm(BackOfficeForm):
    url = forms.CharField(
        label="URL",
        max_length=500,
        widget=forms.TextInput(attrs={"inputmode": "url", "placeholder": "https://…"}),
    )
    slug = forms.SlugField(
        max_length=60,
        required=False,
        help_text="Its name here; it cannot be changed later. Empty: made from the URL's host.",
    )
    events = forms.MultipleChoiceField(
        label="Tell it when",
        choices=EventType.choices,
        widget=forms.CheckboxSelectMultiple,
    )
    allow_private_network = forms.BooleanField(
        label="Allow private network addresses",
        required=False,
        help_text="Only where the receiver stands in your own network.",
    )
    enabled = forms.BooleanField(label="Enabled", required=False)

    def clean_slug(self) -> str:
        """The typed slug, or the one of the URL's host.

        Raises:
            ValidationError: none was typed, and the URL has no host to make one of.
        """
        url = self.cleaned_data.get("url", "")
        slug: str = self.cleaned_data["slug"] or _slug_of(url)
        if url and not slug:
            raise forms.ValidationError("No slug can be made from this URL: type one.")
        return slug


def _slug_of(url: str) -> str:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return slugify(host.removeprefix("www.").replace(".", "-"))[:60].strip("-_")


def read(form: BackOfficeForm) -> WebhookValues:
    """What the form says, as the service takes it."""
    typed = {name: value for name, value in form.cleaned_data.items() if name != "slug"}
    return WebhookValues(**{**typed, "events": tuple(typed["events"])})


@register("webhooks/", "webhooks")
class WebhooksPage(Page):
    """The webhooks of the workspace."""

    title = "Webhooks"
    template_name = "integrations_app/webhooks.html"
    permissions = MANAGE

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.render(
            listed=listed(request, Webhook.objects.visible_to(self.actor), ("slug", "url"))
        )


class WebhookEditor(FormPage):
    """What adding and changing a webhook have in common."""

    template_name = "integrations_app/webhook.html"
    permissions = write_permissions = MANAGE
    parents = PARENTS


@register("add/webhook/", "webhook_add")
class WebhookAddPage(WebhookEditor):
    """A new webhook; its secret is shown once."""

    title = "Add a webhook"
    secret: str
    slug: str

    def build_form(self, data: Any) -> BackOfficeForm:
        return WebhookForm(data, initial={"enabled": True, "events": EventType.values})

    def post(self, request: HttpRequest, **names: Any) -> HttpResponseBase:
        answer = super().post(request, **names)
        if answer.status_code != 302:
            return answer
        return self.render(
            template="accounts_app/shown_once.html",
            secret=self.secret,
            what="The secret of the new webhook",
            advice=ADVICE,
            back=reverse("admin:webhook", args=[self.slug]),
            done="Try it with a ping",
        )

    def save(self, form: BackOfficeForm) -> str:
        self.slug = slug = form.cleaned_data["slug"]
        if Webhook.objects.visible_to(self.actor).filter(slug=slug).exists():
            raise Invalid([FieldError("slug", "key_exists", f"A webhook {slug!r} exists.")])
        self.secret = put_webhook(self.actor, slug, read(form)).secret or ""
        return f"The webhook “{slug}” is there."


class WebhookBase(Page):
    """A page about one webhook."""

    permissions = MANAGE
    parents = PARENTS
    row: Webhook

    def prepare(self, **names: Any) -> None:
        self.row = get_webhook(self.actor, names["slug"])

    @property
    def address(self) -> str:
        return reverse("admin:webhook", args=[self.row.slug])


@register("webhooks/<slug:slug>/", "webhook")
class WebhookPage(WebhookBase, WebhookEditor):
    """A webhook, and what became of what it was told."""

    def build_form(self, data: Any) -> BackOfficeForm:
        names = ("url", "events", "allow_private_network", "enabled")
        form = WebhookForm(data, initial={name: getattr(self.row, name) for name in names})
        del form.fields["slug"]
        return form

    def more(self) -> dict[str, Any]:
        rows = self.row.deliveries.select_related("event").order_by("-created_at", "-pk")
        status = self.request.GET.get("status", "")
        say_unread(self.request, {"status": ("the state", DeliveryStatus.values.__contains__)})
        status = status if status in DeliveryStatus.values else ""
        if status:
            rows = rows.filter(status=status)
        wants_settings = self.request.GET.get("tab") == "settings" or self.request.method == "POST"
        return {
            "title": self.row.slug,
            "tab": "settings" if wants_settings else "deliveries",
            "webhook": self.row,
            "listed": listed(self.request, rows),
            "chosen": status,
            "statuses": DeliveryStatus.choices,
            "former_until": former_until(self.row),
        }

    def save(self, form: BackOfficeForm) -> str:
        put_webhook(self.actor, self.row.slug, read(form))
        return "The webhook is saved."


@register("webhooks/<slug:slug>/rotate/", "webhook_rotate")
class WebhookRotatePage(WebhookBase):
    """Makes a new secret, shown once; the former one signs beside it for a day."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        return self.render(
            template="accounts_app/shown_once.html",
            title=self.row.slug,
            secret=rotate_secret(self.actor, self.row),
            what="The new secret",
            advice=f"{ADVICE} The former one signs beside it for a day.",
            back=self.address,
        )


@register("webhooks/<slug:slug>/ping/", "webhook_ping")
class WebhookPingPage(WebhookBase):
    """Sends an event that means nothing."""

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        def do() -> str:
            ping(self.actor, self.row)
            return "A ping is on its way; below stands what became of it."

        return self.act(do, then=self.address)


@register("webhooks/<slug:slug>/deliveries/<uuid:pk>/", "webhook_redeliver")
class RedeliverPage(WebhookBase):
    """Sends an event again."""

    def post(self, request: HttpRequest, slug: str, pk: UUID) -> HttpResponseBase:
        found = Delivery.objects.visible_to(self.actor).select_related("webhook")
        delivery = found.filter(webhook=self.row, pk=pk).first()
        if delivery is None:
            raise NotFound("There is no such delivery.")

        def do() -> str:
            redeliver(self.actor, delivery)
            return "It is sent again, with the same webhook-id."

        return self.act(do, then=self.address)
