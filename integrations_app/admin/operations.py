"""Operations: found, edited with their approval policy, rehearsed against recent calls."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.forms import BackOfficeForm, FormPage
from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, register
from accounts_app.services.workspace_settings import workspace_settings
from accounts_app.states import Permission
from integrations_app.admin.operation_form import INHERIT, OperationForm, initial_of, read
from integrations_app.conditions import ConditionFailed
from integrations_app.models import Integration, Operation
from integrations_app.services.catalogue import get_integration, get_operation, put_operation
from integrations_app.services.rehearsal import would_have_asked

READ = (Permission.READ_CATALOGUE,)
WRITE = (Permission.WRITE_CATALOGUE,)


@register("operations/", "operations")
class OperationsPage(Page):
    """The operations of all integrations."""

    title = "Operations"
    template_name = "integrations_app/operations.html"
    permissions = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = Operation.objects.visible_to(self.actor).select_related("integration")
        columns = ("slug", "name", "path", "integration__slug", "integration__name")
        return self.render(listed=listed(request, rows, columns))


@register("add/operation/<slug:integration>/", "operation_add")
class OperationAddPage(FormPage):
    """A new operation of an integration."""

    title = "Add an operation"
    template_name = "integrations_app/operation.html"
    permissions = write_permissions = WRITE
    parents = (("Operations", "admin:operations"),)
    integration: Integration
    made: Operation

    def prepare(self, **names: Any) -> None:
        self.integration = get_integration(self.actor, names["integration"])

    def build_form(self, data: Any) -> BackOfficeForm:
        initial = {
            "enabled": True,
            "expected_version": 0,
            "requires_approval": INHERIT,
            "parameters": {"type": "object", "properties": {}, "required": []},
        }
        return OperationForm(
            data, initial=initial, actor=self.actor, integration=self.integration, new=True
        )

    def more(self) -> dict[str, Any]:
        hitl = workspace_settings(self.actor.workspace_id).hitl
        return {"integration": self.integration, "hitl": hitl}

    def save(self, form: BackOfficeForm) -> str:
        slug = form.cleaned_data["slug"]
        self.made, _ = put_operation(
            self.actor, self.integration, slug, read(form), expected_version=0
        )
        return f"“{self.made.name}” is there."

    def next_page(self) -> str:
        return reverse("admin:operation", args=[self.integration.slug, self.made.slug])


@register("operations/<slug:integration>/<slug:slug>/", "operation")
class OperationPage(FormPage):
    """The operation's editor."""

    template_name = "integrations_app/operation.html"
    permissions = READ
    write_permissions = WRITE
    parents = (("Operations", "admin:operations"),)
    row: Operation

    def prepare(self, **names: Any) -> None:
        self.row = get_operation(self.actor, names["integration"], names["slug"])

    def build_form(self, data: Any) -> BackOfficeForm:
        return OperationForm(
            data,
            initial=initial_of(self.row),
            actor=self.actor,
            integration=self.row.integration,
            new=False,
        )

    def more(self) -> dict[str, Any]:
        return {
            "title": self.row.name,
            "operation": self.row,
            "integration": self.row.integration,
            "hitl": workspace_settings(self.actor.workspace_id).hitl,
        }

    def save(self, form: BackOfficeForm) -> str:
        expected = form.cleaned_data["expected_version"]
        put_operation(
            self.actor, self.row.integration, self.row.slug, read(form), expected_version=expected
        )
        return "The operation is saved; it holds for every call from now on."


@register("operations/<slug:integration>/<slug:slug>/rehearse/", "operation_rehearse")
class RehearsalPart(Page):
    """What the typed condition would have done to recent calls; a POST for its length only."""

    permissions = WRITE

    def post(self, request: HttpRequest, integration: str, slug: str) -> HttpResponseBase:
        operation = get_operation(self.actor, integration, slug)
        when = request.POST.get("when", "").replace("\0", "")
        template = "integrations_app/parts/rehearsal.html"
        try:
            found = would_have_asked(self.actor, operation, when)
        except ConditionFailed as refusal:
            return self.part(template, refusal=refusal.detail)
        return self.part(template, rehearsal=found)
