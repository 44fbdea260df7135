from typing import Any, ClassVar

import django_filters
from django.http import HttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import AnyJson, Key, Number, Object, Reference, StrictSerializer, Text
from accounts_app.api.filters import IdFilter, OneOf
from accounts_app.api.paging import page_of
from accounts_app.api.views import READERS, ApiView
from accounts_app.errors import Conflict, FieldError, Invalid, NotFound
from accounts_app.states import Scope
from integrations_app.api.sessions import ReasonBody
from integrations_app.models import Operation, Run, ToolCall
from integrations_app.services.catalogue import get_operation
from integrations_app.states import CALL_OPEN, CallStatus, IntegrationKind
from tasks_app.api.shown import calls_to_show, show_call
from tasks_app.services.calls import (
    ClientResult,
    cancel_call,
    finish_client_call,
    request_call,
)


class CallBody(StrictSerializer):
    run = Reference()
    operation = Text()
    arguments = Object()
    key = Key()
    reason = Text(required=False, allow_blank=True, allow_null=True, max_length=10_000)


class CallShown(CallBody):
    id = Text()
    operation_version = Number()
    arguments_digest = Text()
    status = Text()
    task = Text(allow_null=True)
    incident = Text(allow_null=True)
    result = Object(allow_null=True)
    error = Object(allow_null=True)
    attempts = Number()
    created_at = Text()
    decided_at = Text(allow_null=True)
    started_at = Text(allow_null=True)
    finished_at = Text(allow_null=True)
    url = Text()


class ErrorBody(StrictSerializer):
    code = Text(max_length=100)
    detail = Text(max_length=10_000)


class ErrorGiven(AnyJson):
    """What went wrong: a text, or `code` and `detail` as calls show them."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, (str, dict)):
            raise ValidationError("Must be a text, or an object with code and detail.")
        alone = isinstance(data, str)
        form = ErrorBody(data={"code": "client_error", "detail": data} if alone else data)
        if not form.is_valid():
            raise ValidationError(form.errors["detail"] if alone else form.errors)
        return dict(form.validated_data)


class ClientResultBody(StrictSerializer):
    output = AnyJson(required=False, allow_null=True)
    error = ErrorGiven(required=False, allow_null=True)


class CallFilter(django_filters.FilterSet):
    agent = django_filters.CharFilter(field_name="agent__slug")
    run = IdFilter(field_name="run")
    session = IdFilter(field_name="run__session")
    status = OneOf(choices=CallStatus.choices)

    class Meta:
        model = ToolCall
        fields: tuple[str, ...] = ()


class CallApiView(ApiView):
    """What the addresses of tool calls share."""

    serializer_class = CallShown

    def get_call(self, pk: str) -> ToolCall:
        rows = ToolCall.objects.visible_to(self.actor).select_related("operation__integration")
        call: ToolCall = self.get_visible(rows, pk)
        return call

    def shown(self, call: ToolCall) -> dict[str, Any]:
        row = calls_to_show(ToolCall.objects.filter(pk=call.pk)).get()
        return show_call(row, self.link, in_list=False)

    def refer_operation(self, text: str) -> Operation:
        integration, _, slug = text.partition(".")
        try:
            return get_operation(self.actor, integration, slug)
        except NotFound as error:
            detail = f"There is no operation {text!r}; write integration.operation."
            raise Invalid([FieldError("operation", "not_found", detail)]) from error


class CallsView(CallApiView):
    """Ask for an operation to be performed, or list what was asked."""

    bodies: ClassVar = {"POST": CallBody}
    lists = creates = True
    filterset_class = CallFilter

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(*READERS)
        rows = calls_to_show(self.filtered(CallFilter, ToolCall.objects.visible_to(self.actor)))
        return Response(
            page_of(request, rows, lambda call: show_call(call, self.link, in_list=True))
        )

    def post(self, request: Request) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.RUNS)
        body = self.body(CallBody, data)
        runs = Run.objects.visible_to(self.actor).select_related("session", "agent")
        run = self.refer(runs, body["run"], "run")
        operation = self.refer_operation(body["operation"])

        def act() -> tuple[int, dict[str, Any]]:
            call, created = request_call(
                self.actor,
                run=run,
                operation=operation,
                arguments=body["arguments"],
                key=body.get("key"),
                reason=body.get("reason") or "",
            )
            return 201 if created else 200, self.shown(call)

        return self.answer(act)


class CallView(CallApiView):
    """One tool call; with `wait` it is answered when the call has its end."""

    query: ClassVar = ("wait",)

    def get(self, request: Request, pk: str) -> HttpResponse:
        call = self.get_visible(calls_to_show(ToolCall.objects.visible_to(self.actor)), pk)
        self.actor.require_scope(*READERS)
        shown = show_call(call, self.link, in_list=False)
        return self.waited(shown, terminal=call.status not in CALL_OPEN)


class CallCancelView(CallApiView):
    """Cancel a call of which nothing was sent."""

    bodies: ClassVar = {"POST": ReasonBody}

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        call = self.get_call(pk)
        self.actor.require_scope(Scope.RUNS)

        def read() -> str:
            return self.body(ReasonBody, data).get("reason") or ""

        return Response(self.shown(cancel_call(self.actor, call, read)))


class CallResultView(CallApiView):
    """The result of a call that the agent ran itself."""

    bodies: ClassVar = {"POST": ClientResultBody}

    def post(self, request: Request, pk: str) -> HttpResponse:
        data = self.parsed()
        call = self.get_call(pk)
        self.actor.require_scope(Scope.RUNS)
        if call.operation.integration.kind != IntegrationKind.CLIENT:
            text = "Assent executes this call itself; it takes no result."
            raise Conflict(text, code="not_executing")

        def read() -> ClientResult:
            body = self.body(ClientResultBody, data)
            if len(body) != 1 or body.get("error", "") is None:
                text = "Send either `output` or `error`."
                raise Invalid([FieldError("output", "invalid_value", text)])
            return ClientResult(body.get("output"), body.get("error"))

        return Response(self.shown(finish_client_call(self.actor, call, read)))
