"""What the operation's editor shows of tasks: the approver's card, and a try of the real way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.forms import BackOfficeForm, FormPage, JsonField
from accounts_app.backoffice.pages import Page, register
from accounts_app.errors import DomainError, FieldError, Invalid
from accounts_app.models import Agent, new_id
from accounts_app.states import Permission
from integrations_app.actions import Action
from integrations_app.admin.operation_form import OperationForm, read
from integrations_app.examples import example_of
from integrations_app.models import Operation, Run, ToolCall
from integrations_app.policies import ApprovalPolicy, read_policy
from integrations_app.services.catalogue import get_integration, get_operation, sketch_operation
from integrations_app.services.freezing import freeze
from integrations_app.states import CallStatus
from tasks_app.admin.request import RequestShown, request_of
from tasks_app.services.trying import tried_call, try_operation

WRITE = (Permission.WRITE_CATALOGUE,)
UNFINISHED = (CallStatus.RECEIVED, CallStatus.QUEUED, CallStatus.EXECUTING)


@dataclass(frozen=True, slots=True)
class Sketch:
    """What the approver of the typed operation would see, with made-up arguments."""

    operation: Operation
    request: RequestShown
    policy: ApprovalPolicy

    @property
    def actions(self) -> Sequence[Action]:
        return self.policy.actions


def sketch_of(operation: Operation) -> Sketch:
    """Build the request from example arguments, as it is built for a call.

    Raises:
        Invalid: the example cannot be placed into the path or query.
    """
    call_id = new_id()
    run = Run(pk=new_id(), workspace_id=operation.workspace_id, session_id=new_id())
    arguments = example_of(operation.parameters)
    frozen = freeze(operation, run, arguments, call_id=call_id)
    call = ToolCall(pk=call_id, operation=operation, **frozen.columns())
    request = request_of(call, mask=operation.sensitive)
    return Sketch(operation, request, read_policy(operation.approval))


@register("preview/operation/<slug:integration>/", "operation_preview")
class PreviewPart(Page):
    """The card of what is typed; a POST for its length only, it stores nothing."""

    permissions = WRITE

    def post(self, request: HttpRequest, integration: str) -> HttpResponseBase:
        parent = get_integration(self.actor, integration)
        new = "slug" in request.POST
        form = OperationForm(request.POST, actor=self.actor, integration=parent, new=new)
        template = "tasks_app/parts/sketch.html"
        if not form.is_valid():
            return self.part(template)
        slug = form.cleaned_data.get("slug", "operation")
        try:
            sketch = sketch_of(sketch_operation(self.actor, parent, slug, read(form)))
        except DomainError as refusal:
            return self.part(template, problem=form.in_words(refusal))
        return self.part(template, sketch=sketch)


class TryForm(BackOfficeForm):
    agent = forms.ChoiceField(label="As the agent")
    arguments = JsonField(label="Arguments (JSON)", rows=10)

    def field_of(self, member: str) -> str | None:
        """Whatever is wrong with an argument stands at the arguments."""
        return super().field_of(member) or "arguments"


@register("operations/<slug:integration>/<slug:slug>/try/", "operation_try")
class TryPage(FormPage):
    """Sends a call the real way, and shows what becomes of it."""

    template_name = "tasks_app/try.html"
    permissions = write_permissions = WRITE
    parents = (("Operations", "admin:operations"),)
    row: Operation
    made: ToolCall

    def prepare(self, **names: Any) -> None:
        self.row = get_operation(self.actor, names["integration"], names["slug"])

    def build_form(self, data: Any) -> BackOfficeForm:
        form = TryForm(data, initial={"arguments": example_of(self.row.parameters)})
        agents: Any = form.fields["agent"]
        rows = Agent.objects.visible_to(self.actor).filter(enabled=True)
        agents.choices = list(rows.values_list("slug", "name"))
        return form

    def more(self) -> dict[str, Any]:
        return {
            "title": f"Try “{self.row.name}”",
            "agents": Agent.objects.visible_to(self.actor).filter(enabled=True).exists(),
            "operation": self.row,
            "integration": self.row.integration,
        }

    def save(self, form: BackOfficeForm) -> str:
        arguments = form.cleaned_data["arguments"]
        if not isinstance(arguments, dict):
            raise Invalid([FieldError("arguments", "invalid_value", "Must be a JSON object.")])
        agent = Agent.objects.visible_to(self.actor).get(slug=form.cleaned_data["agent"])
        self.made = try_operation(self.actor, self.row, agent=agent, arguments=arguments)
        return "The call is on its way, as an agent's would be."

    def next_page(self) -> str:
        names = [self.row.integration.slug, self.row.slug, self.made.pk]
        return reverse("admin:operation_tried", args=names)


@register("operations/<slug:integration>/<slug:slug>/tried/<uuid:pk>/", "operation_tried")
class TriedPage(Page):
    """What became of a call that this person tried."""

    template_name = "tasks_app/tried.html"
    permissions = WRITE
    parents = (("Operations", "admin:operations"),)

    def get(self, request: HttpRequest, integration: str, slug: str, pk: UUID) -> HttpResponseBase:
        operation = get_operation(self.actor, integration, slug)
        call = tried_call(self.actor, operation, pk)
        more: dict[str, Any] = {
            "call": call,
            "operation": operation,
            "is_open": call.status in UNFINISHED,
        }
        if request.headers.get("HX-Request"):
            return self.part("tasks_app/parts/tried.html", **more)
        return self.render(title=f"Tried “{operation.name}”", **more)
