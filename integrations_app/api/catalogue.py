from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import AnyJson, Choice, Flag, Number, Object, StrictSerializer, Text
from accounts_app.api.paging import page_of
from accounts_app.api.views import CATALOGUE_READERS, READERS, ApiView, utc_text
from accounts_app.errors import FieldError, Invalid
from accounts_app.states import Scope
from integrations_app import tools
from integrations_app.models import Integration, Operation
from integrations_app.policies import read_policy
from integrations_app.services.catalogue import (
    AUTH_MEMBERS,
    IntegrationValues,
    OperationValues,
    get_integration,
    get_operation,
    put_integration,
    put_operation,
)
from integrations_app.services.importing import import_openapi
from integrations_app.states import AuthType, Effect, IntegrationKind


class IntegrationBody(StrictSerializer):
    name = Text(max_length=120)
    kind = Choice(choices=IntegrationKind.choices)
    base_url = Text(required=False, allow_blank=True, allow_null=True, max_length=500)
    auth = Object(required=False, allow_null=True)
    default_headers = Object(required=False, allow_null=True)
    requires_approval = Flag(required=False)
    allow_private_network = Flag(required=False)
    enabled = Flag(required=False)


class IntegrationShown(IntegrationBody):
    slug = Text()
    created_at = Text()


class OperationBody(StrictSerializer):
    name = Text(max_length=120)
    effect = Choice(choices=Effect.choices)
    description = Text(required=False, allow_blank=True, allow_null=True, max_length=20_000)
    method = Text(required=False, allow_blank=True, allow_null=True, max_length=6)
    path = Text(required=False, allow_blank=True, allow_null=True, max_length=500)
    parameters = AnyJson(required=False, allow_null=True)
    requires_approval = Flag(required=False, allow_null=True)
    approval = AnyJson(required=False, allow_null=True)
    sensitive = AnyJson(required=False, allow_null=True)
    timeout_seconds = Number(required=False, allow_null=True)
    enabled = Flag(required=False)


class OperationShown(OperationBody):
    slug = Text()
    integration = Text()
    operation = Text()
    version = Number()
    created_at = Text()


class ToolsShown(StrictSerializer):
    tools = serializers.ListField(child=Object())
    operations = serializers.DictField(child=Text())


class ImportBody(StrictSerializer):
    document = Object()
    select = serializers.ListField(child=Text(), required=False, allow_null=True)


class SkippedShown(StrictSerializer):
    operation = Text()
    reason = Text()


class ImportShown(StrictSerializer):
    created = serializers.ListField(child=Text())
    updated = serializers.ListField(child=Text())
    skipped = SkippedShown(many=True)


def show_integration(row: Integration) -> dict[str, Any]:
    """An integration as the API writes it; of a secret only that it is set."""
    return {
        "slug": row.slug,
        "name": row.name,
        "kind": row.kind,
        "base_url": row.base_url or None,
        "auth": _show_auth(row),
        "default_headers": row.default_headers,
        "requires_approval": row.requires_approval,
        "allow_private_network": row.allow_private_network,
        "enabled": row.enabled,
        "created_at": utc_text(row.created_at),
    }


def _show_auth(row: Integration) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": row.auth_type}
    if row.auth_type == AuthType.BASIC:
        shown["username"] = row.auth_name
    if row.auth_type == AuthType.HEADER:
        shown["name"] = row.auth_name
    if AUTH_MEMBERS[row.auth_type]:
        shown["set"] = row.auth_sealed is not None
    return shown


def show_operation(row: Operation) -> dict[str, Any]:
    """An operation as the API writes it, with the effective switch."""
    return {
        "slug": row.slug,
        "integration": row.integration.slug,
        "operation": row.reference,
        "name": row.name,
        "description": row.description,
        "method": row.method or None,
        "path": row.path or None,
        "parameters": row.parameters,
        "effect": row.effect,
        "requires_approval": row.asks_first,
        "approval": read_policy(row.approval).shown(),
        "sensitive": row.sensitive,
        "timeout_seconds": row.timeout_seconds,
        "enabled": row.enabled,
        "version": row.version,
        "created_at": utc_text(row.created_at),
    }


class IntegrationsView(ApiView):
    """The integrations of the workspace."""

    lists = True

    serializer_class = IntegrationShown

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(*CATALOGUE_READERS)
        self.refuse_unknown({"cursor", "limit"})
        rows = Integration.objects.visible_to(self.actor)
        return Response(page_of(request, rows, show_integration))


class IntegrationView(ApiView):
    """One integration, by its slug."""

    bodies: ClassVar = {"PUT": IntegrationBody}
    creates = True

    serializer_class = IntegrationShown

    def get(self, request: Request, slug: str) -> HttpResponse:
        row = get_integration(self.actor, slug)
        self.actor.require_scope(*CATALOGUE_READERS)
        self.refuse_unknown(set())
        return Response(show_integration(row))

    def put(self, request: Request, slug: str) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.ADMIN)
        self.check_slug(slug)
        body = self.body(IntegrationBody, data)
        headers = body.get("default_headers") or {}
        for name, value in headers.items():
            if not isinstance(value, str):
                field = f"default_headers.{name}"
                raise Invalid([FieldError(field, "invalid_value", "Must be a text.")])
        values = IntegrationValues(
            name=body["name"],
            kind=body["kind"],
            base_url=body.get("base_url") or "",
            auth=body.get("auth"),
            default_headers=headers,
            requires_approval=body.get("requires_approval", False),
            allow_private_network=body.get("allow_private_network", False),
            enabled=body.get("enabled", True),
        )
        row, created = put_integration(self.actor, slug, values)
        return Response(show_integration(row), status=201 if created else 200)


class ImportView(ApiView):
    """Create and update operations from an OpenAPI 3 document."""

    bodies: ClassVar = {"POST": ImportBody}
    serializer_class = ImportShown

    def post(self, request: Request, slug: str) -> HttpResponse:
        data = self.parsed()
        row = get_integration(self.actor, slug)
        self.actor.require_scope(Scope.ADMIN)
        body = self.body(ImportBody, data)

        def act() -> tuple[int, dict[str, Any]]:
            done = import_openapi(
                self.actor, row, document=body["document"], select=body.get("select")
            )
            return 200, {
                "created": done.created,
                "updated": done.updated,
                "skipped": [
                    {"operation": skipped.operation, "reason": skipped.reason}
                    for skipped in done.skipped
                ],
            }

        return self.answer(act)


class OperationsView(ApiView):
    """The operations of all integrations."""

    lists = True

    serializer_class = OperationShown

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(*READERS, Scope.ADMIN)
        self.refuse_unknown({"cursor", "limit"})
        rows = Operation.objects.visible_to(self.actor).select_related("integration")
        return Response(page_of(request, rows, show_operation))


class ToolsView(ApiView):
    """The enabled operations as tool definitions for a model."""

    query: ClassVar = ("format",)
    serializer_class = ToolsShown

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(*READERS, Scope.ADMIN)
        self.refuse_unknown({"format"})
        shape = request.query_params.get("format", "")
        if shape not in tools.FORMATS:
            detail = f"Choose from {', '.join(tools.FORMATS)}."
            code = "invalid_value" if "format" in request.query_params else "required"
            raise Invalid([FieldError("format", code, detail)])
        rows = Operation.objects.visible_to(self.actor).select_related("integration")
        enabled = rows.filter(enabled=True, integration__enabled=True)
        described = [describe(row) for row in enabled.order_by("integration__slug", "slug")]
        return Response(tools.catalogue(described, shape))


def describe(row: Operation) -> tools.Described:
    """An operation as its tool describes it."""
    return tools.Described(
        reference=row.reference,
        title=row.name,
        description=row.description,
        parameters=row.parameters,
        effect=row.effect,
        asks_first=row.asks_first,
    )


class OperationView(ApiView):
    """One operation of an integration."""

    bodies: ClassVar = {"PUT": OperationBody}
    creates = True

    serializer_class = OperationShown

    def get(self, request: Request, integration: str, slug: str) -> HttpResponse:
        row = get_operation(self.actor, integration, slug)
        self.actor.require_scope(*READERS, Scope.ADMIN)
        self.refuse_unknown(set())
        return Response(show_operation(row))

    def put(self, request: Request, integration: str, slug: str) -> HttpResponse:
        data = self.parsed()
        parent = get_integration(self.actor, integration)
        self.actor.require_scope(Scope.ADMIN)
        self.check_slug(slug)
        body = self.body(OperationBody, data)
        timeout = body.get("timeout_seconds")
        values = OperationValues(
            name=body["name"],
            effect=body["effect"],
            description=body.get("description") or "",
            method=body.get("method") or "",
            path=body.get("path") or "",
            parameters=body.get("parameters"),
            requires_approval=body.get("requires_approval"),
            approval=body.get("approval"),
            sensitive=body.get("sensitive"),
            timeout_seconds=30 if timeout is None else timeout,
            enabled=body.get("enabled", True),
        )
        row, created = put_operation(self.actor, parent, slug, values)
        return Response(show_operation(row), status=201 if created else 200)
