from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import AnyJson, Choice, Flag, Number, StrictSerializer, Text
from accounts_app.api.filters import IdFilter, OneOf
from accounts_app.api.paging import page_of
from accounts_app.api.views import ApiView, utc_text
from accounts_app.states import Scope
from guard_app.models import Detection, GuardRule
from guard_app.services.rules import RuleValues, get_rule, put_rule
from guard_app.states import Detector, GuardEffect


class RuleBody(StrictSerializer):
    name = Text(max_length=120)
    detector = Choice(choices=Detector.choices)
    parameters = AnyJson(required=False, allow_null=True)
    applies_to = AnyJson(required=False, allow_null=True)
    effect = Choice(choices=GuardEffect.choices)
    enabled = Flag(required=False)
    shadow = Flag(required=False)
    asynchronous = Flag(required=False)


class RuleShown(RuleBody):
    slug = Text()
    version = Number()
    created_at = Text()


class DetectionShown(StrictSerializer):
    id = Text()
    rule = Text()
    effect = Text()
    shadow = Flag()
    decided = Flag()
    failed = Flag()
    tool_call = Text()
    agent = Text()
    operation = Text()
    incident = Text(allow_null=True)
    explanation = Text()
    at = Text()


class DetectionFilter(django_filters.FilterSet):
    rule = django_filters.CharFilter(field_name="rule__slug")
    effect = OneOf(choices=GuardEffect.choices)
    shadow = OneOf(choices=[("true", "true"), ("false", "false")], method="by_shadow")
    agent = django_filters.CharFilter(field_name="agent__slug")
    tool_call = IdFilter(field_name="tool_call")

    class Meta:
        model = Detection
        fields: tuple[str, ...] = ()

    def by_shadow(self, rows: QuerySet[Detection], name: str, value: str) -> QuerySet[Detection]:
        return rows.filter(shadow=value == "true")


def show_rule(rule: GuardRule) -> dict[str, Any]:
    """A rule as the API writes it."""
    return {
        "slug": rule.slug,
        "name": rule.name,
        "detector": rule.detector,
        "parameters": rule.parameters,
        "applies_to": rule.applies_to,
        "effect": rule.effect,
        "enabled": rule.enabled,
        "shadow": rule.shadow,
        "asynchronous": rule.asynchronous,
        "version": rule.version,
        "created_at": utc_text(rule.created_at),
    }


def show_detection(row: Detection) -> dict[str, Any]:
    """A hit as the API writes it."""
    return {
        "id": str(row.pk),
        "rule": row.rule.slug,
        "effect": row.effect,
        "shadow": row.shadow,
        "decided": row.decided,
        "failed": row.failed,
        "tool_call": str(row.tool_call_id),
        "agent": row.agent.slug,
        "operation": row.tool_call.operation.reference,
        "incident": str(row.incident_id) if row.incident_id else None,
        "explanation": row.explanation,
        "at": utc_text(row.created_at),
    }


class RulesView(ApiView):
    """The guard rules of the workspace."""

    lists = True

    serializer_class = RuleShown

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(Scope.READ, Scope.ADMIN)
        self.refuse_unknown({"cursor", "limit"})
        return Response(page_of(request, GuardRule.objects.visible_to(self.actor), show_rule))


class RuleView(ApiView):
    """One guard rule, by its slug."""

    bodies: ClassVar = {"PUT": RuleBody}
    creates = True

    serializer_class = RuleShown

    def get(self, request: Request, slug: str) -> HttpResponse:
        rule = get_rule(self.actor, slug)
        self.actor.require_scope(Scope.READ, Scope.ADMIN)
        self.refuse_unknown(set())
        return Response(show_rule(rule))

    def put(self, request: Request, slug: str) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.ADMIN)
        rule, created = put_rule(self.actor, slug, rule_values(self.body(RuleBody, data)))
        return Response(show_rule(rule), status=201 if created else 200)


def rule_values(body: dict[str, Any]) -> RuleValues:
    """A checked body as the service takes it."""
    given = {name: value for name, value in body.items() if value is not None}
    return RuleValues(**given)


class DetectionsView(ApiView):
    """Every hit, those of shadow rules included."""

    lists = True
    filterset_class = DetectionFilter

    serializer_class = DetectionShown

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(Scope.READ)
        rows = self.filtered(DetectionFilter, Detection.objects.visible_to(self.actor))
        shown = rows.select_related("rule", "agent", "tool_call__operation__integration")
        return Response(page_of(request, shown, show_detection))
