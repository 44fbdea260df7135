"""Integrations: found, edited with write-only credentials, and tried out."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts_app.backoffice.forms import (
    BackOfficeForm,
    FormPage,
    LinesField,
    NamedForm,
    slug_field,
)
from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, register
from accounts_app.states import Permission
from integrations_app.models import Integration
from integrations_app.services.catalogue import (
    AUTH_MEMBERS,
    IntegrationValues,
    get_integration,
    put_integration,
)
from integrations_app.services.probing import probe_connection
from integrations_app.states import AuthType, IntegrationKind

READ = (Permission.READ_CATALOGUE,)
WRITE = (Permission.WRITE_CATALOGUE,)
PARENTS = (("Integrations", "admin:integrations"),)
KEEP = ""
SHOWN = (
    "name",
    "kind",
    "base_url",
    "requires_approval",
    "allow_private_network",
    "enabled",
)
SECRET_FIELDS = {
    "token": "auth_token",
    "username": "auth_username",
    "password": "auth_password",
    "name": "auth_header",
    "value": "auth_value",
}


def _secret(label: str) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, required=False, strip=False, widget=widget)


class IntegrationForm(NamedForm):
    """What an integration is; of its credential only that it is set."""

    members = {f"auth.{member}": field for member, field in SECRET_FIELDS.items()}

    slug = slug_field("How agents and the API name it; it cannot be changed later.")
    kind = forms.ChoiceField(
        label="Who runs the calls",
        choices=[
            (IntegrationKind.HTTP, "Assent, over HTTP"),
            (IntegrationKind.CLIENT, "The agent itself, once a call is allowed"),
        ],
        widget=forms.RadioSelect,
        initial=IntegrationKind.HTTP,
    )
    base_url = forms.CharField(
        label="Base URL",
        max_length=500,
        required=False,
        widget=forms.TextInput(
            attrs={"inputmode": "url", "placeholder": "https://api.example.com"}
        ),
        help_text="Calls go to this scheme, host and port only; no redirect is followed.",
    )
    allow_private_network = forms.BooleanField(
        label="Allow private network addresses",
        required=False,
        help_text="Only where the service stands in your own network. It is written to the audit"
        " log.",
    )
    auth = forms.ChoiceField(required=False)
    auth_token = _secret("Token")
    auth_username = forms.CharField(label="User name", required=False, strip=False)
    auth_password = _secret("Password")
    auth_header = forms.CharField(label="Name of the header", required=False)
    auth_value = _secret("Value of the header")
    default_headers = LinesField(
        label="Headers sent with every call",
        help_text="One on each line, like Accept-Language: en. Never a credential: these are shown"
        " on the card.",
    )
    requires_approval = forms.BooleanField(
        label="Require approval (HITL) before execution",
        required=False,
        help_text="For every operation that does not say otherwise.",
    )
    enabled = forms.BooleanField(
        label="Enabled",
        required=False,
        help_text="Off: no call starts, and waiting ones are dropped.",
    )

    def __init__(self, *args: Any, present: Integration | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        choices: list[tuple[str, str]] = list(AuthType.choices)
        if present is not None:
            del self.fields["slug"]
            label = AuthType(present.auth_type).label
            said = f"Keep as it is: {label.lower()}"
            choices = [(KEEP, f"{said}, set" if present.auth_sealed else said), *choices]
        self.fields["auth"] = forms.ChoiceField(label="Scheme", required=False, choices=choices)

    def typed_secrets(self) -> list[str]:
        """The secrets that were typed: a refused form is shown without them."""
        widgets = {name: self.fields[name].widget for name in SECRET_FIELDS.values()}
        return [
            name
            for name, widget in widgets.items()
            if isinstance(widget, forms.PasswordInput) and self.data.get(name)
        ]

    def clean_default_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in self.cleaned_data["default_headers"]:
            name, colon, value = line.partition(":")
            if not colon:
                raise forms.ValidationError(f"“{line}” has no colon; write Name: value.")
            headers[name.strip()] = value.strip()
        return headers


def read(form: BackOfficeForm) -> IntegrationValues:
    """What the form says, as the service takes it."""
    chosen = {name: form.cleaned_data[name] for name in (*SHOWN, "default_headers")}
    return IntegrationValues(auth=_credential(form.cleaned_data), **chosen)


class IntegrationFormPage(FormPage):
    """What adding and editing share: a secret is not sent back, and the page says so."""

    def show(self, form: BackOfficeForm, *, status: int = 200) -> TemplateResponse:
        if status != 200 and isinstance(form, IntegrationForm):
            for name in form.typed_secrets():
                form.add_error(name, "Type it again: a secret is never sent back to the page.")
        return super().show(form, status=status)


def _credential(typed: dict[str, Any]) -> dict[str, str] | None:
    """The member `auth` of the contract; None keeps what is there."""
    kind = typed["auth"]
    if kind == KEEP:
        return None
    return {"type": kind} | {name: typed[SECRET_FIELDS[name]] for name in AUTH_MEMBERS[kind]}


@register("integrations/", "integrations")
class IntegrationsPage(Page):
    """The integrations of the workspace."""

    title = "Integrations"
    template_name = "integrations_app/integrations.html"
    permissions = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = Integration.objects.visible_to(self.actor).annotate(number=Count("operations"))
        found = listed(request, rows, ("slug", "name", "base_url"))
        return self.render(listed=found, may_write=self.actor.can(*WRITE))


@register("add/integration/", "integration_add")
class IntegrationAddPage(IntegrationFormPage):
    """A new integration."""

    title = "Add an integration"
    template_name = "integrations_app/integration.html"
    permissions = write_permissions = WRITE
    parents = PARENTS
    made: Integration

    def build_form(self, data: Any) -> BackOfficeForm:
        return IntegrationForm(data, initial={"enabled": True, "auth": AuthType.NONE})

    def save(self, form: BackOfficeForm) -> str:
        values, slug = read(form), form.cleaned_data["slug"]
        self.made, _ = put_integration(self.actor, slug, values, must_be_new=True)
        return f"“{self.made.name}” is there. Test its connection, then add operations."

    def next_page(self) -> str:
        return reverse("admin:integration", args=[self.made.slug])


@register("integrations/<slug:slug>/", "integration")
class IntegrationPage(IntegrationFormPage):
    """One integration: its editor, its operations, the test of its connection."""

    template_name = "integrations_app/integration.html"
    permissions = READ
    write_permissions = WRITE
    parents = PARENTS
    row: Integration

    def prepare(self, **names: Any) -> None:
        self.row = get_integration(self.actor, names["slug"])

    def build_form(self, data: Any) -> BackOfficeForm:
        headers = [f"{name}: {value}" for name, value in self.row.default_headers.items()]
        shown = {name: getattr(self.row, name) for name in SHOWN}
        initial = {**shown, "default_headers": headers, "auth": KEEP}
        return IntegrationForm(data, initial=initial, present=self.row)

    def more(self) -> dict[str, Any]:
        rows = self.row.operations.select_related("integration")
        wants_settings = self.request.GET.get("tab") == "settings" or self.request.method == "POST"
        return {
            "title": self.row.name,
            "integration": self.row,
            "number": rows.count(),
            "listed": listed(self.request, rows.order_by("slug"), ("slug", "name", "path")),
            "tab": "settings" if wants_settings else "operations",
        }

    def save(self, form: BackOfficeForm) -> str:
        put_integration(self.actor, self.row.slug, read(form))
        return "The integration is saved."


@register("integrations/<slug:slug>/test/", "integration_test")
class IntegrationTestPage(Page):
    """The test of a connection: asked for by a button of the integration's page."""

    permissions = WRITE

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        found = probe_connection(self.actor, get_integration(self.actor, slug))
        say = messages.success if found.answered else messages.error
        say(request, found.detail)
        return HttpResponseRedirect(reverse("admin:integration", args=[slug]))
