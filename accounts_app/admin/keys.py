"""API keys: made, shown once, revoked."""

import datetime as dt
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.forms import BackOfficeForm, DurationField, FormPage
from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now
from accounts_app.errors import NotFound
from accounts_app.models import Agent, ApiKey, Membership
from accounts_app.services.api_keys import create_api_key, revoke_api_key
from accounts_app.states import Permission, Scope

MANAGE = (Permission.MANAGE_WORKSPACE,)
PARENTS = (("API keys", "admin:api_keys"),)
WHAT_FOR = {
    Scope.RUNS: "what an agent's runtime does: sessions, runs, calls, asking people, waiting",
    Scope.READ: "read everything of the workspace",
    Scope.DECIDE: "complete tasks; the key acts as itself, never as a person",
    Scope.ADMIN: "integrations, operations, agents, guard rules and webhooks",
}


class KeyForm(BackOfficeForm):
    members = {"expires_in": "expires"}

    name = forms.CharField(
        max_length=120, help_text="What uses it, like “support bot, production”."
    )
    scopes = forms.MultipleChoiceField(
        label="Scopes",
        choices=[(scope.value, f"{scope.value}: {WHAT_FOR[scope]}") for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
        help_text="runs and decide never stand on one key: an agent must not approve itself.",
    )
    agent = forms.ChoiceField(
        label="Bound to the agent", required=False, help_text="It then sees that agent only."
    )
    owner = forms.ChoiceField(
        label="Owner",
        required=False,
        help_text="The person who answers for it: they cannot approve what it asks for, and the"
        " key ends with them.",
    )
    expires = DurationField(label="Good for", required=False, help_text="Empty: until revoked.")


@register("keys/", "api_keys")
class KeysPage(Page):
    """The keys of the workspace."""

    title = "API keys"
    template_name = "accounts_app/keys.html"
    permissions = MANAGE

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = (
            ApiKey.objects.visible_to(self.actor)
            .select_related("agent", "owner")
            .order_by("-created_at")
        )
        live = request.GET.get("show") != "all"
        rows = rows.filter(revoked_at__isnull=True) if live else rows
        return self.render(
            listed=listed(request, rows, ("name", "prefix")), live=live, now=db_now()
        )


@register("add/key/", "api_key_add")
class KeyAddPage(FormPage):
    """A new key; its text is shown in the answer, and never again."""

    title = "Make an API key"
    template_name = "accounts_app/form_page.html"
    permissions = write_permissions = MANAGE
    parents = PARENTS
    secret: str

    def build_form(self, data: Any) -> BackOfficeForm:
        form = KeyForm(data)
        agents = Agent.objects.visible_to(self.actor).values_list("slug", "name")
        people = Membership.objects.visible_to(self.actor).filter(is_active=True)
        names = people.values_list("user__username", flat=True)
        for field, choices in (("agent", list(agents)), ("owner", [(n, n) for n in names])):
            chosen: Any = form.fields[field]
            chosen.choices = [("", "None"), *choices]
        return form

    def more(self) -> dict[str, Any]:
        return {"button": "Make the key"}

    def post(self, request: HttpRequest, **names: Any) -> HttpResponseBase:
        answer = super().post(request, **names)
        if answer.status_code != 302:
            return answer
        return self.render(
            template="accounts_app/shown_once.html",
            secret=self.secret,
            what="The new key",
            advice="Copy it now: it is stored hashed and cannot be shown again.",
            back=reverse("admin:api_keys"),
        )

    def save(self, form: BackOfficeForm) -> str:
        typed = form.cleaned_data
        seconds = typed["expires"]
        agent = Agent.objects.visible_to(self.actor).filter(slug=typed["agent"] or None).first()
        member = (
            Membership.objects.visible_to(self.actor)
            .select_related("user")
            .filter(user__username=typed["owner"] or None)
            .first()
        )
        _, self.secret = create_api_key(
            self.actor,
            name=typed["name"],
            scopes=typed["scopes"],
            agent=agent,
            owner=member.user if member else None,
            expires_in=None if seconds is None else dt.timedelta(seconds=seconds),
        )
        return f"The key “{typed['name']}” is made."


@register("keys/<uuid:pk>/revoke/", "api_key_revoke")
class KeyRevokePage(Page):
    """Ends a key now."""

    permissions = MANAGE

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        row = ApiKey.objects.visible_to(self.actor).filter(pk=pk, revoked_at__isnull=True).first()
        if row is None:
            raise NotFound("There is no such live key.")

        def do() -> str:
            revoke_api_key(self.actor, name=row.name)
            return f"The key “{row.name}” is revoked: its next request is refused."

        return self.act(do, then=reverse("admin:api_keys"))
