from typing import Any, ClassVar, NoReturn

import django_filters
from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import Number, StrictSerializer, Text
from accounts_app.api.filters import OneOf
from accounts_app.api.paging import page_of
from accounts_app.api.views import ApiView, utc_text
from accounts_app.errors import Forbidden
from accounts_app.states import Scope
from guard_app.models import Detection, Incident
from guard_app.states import IncidentStatus, Severity
from tasks_app.api.shown import Link
from tasks_app.models import UserTask

MOST_LISTED = 1000


class IncidentShown(StrictSerializer):
    id = Text()
    rule = Text()
    agent = Text()
    operation = Text()
    status = Text()
    severity = Text()
    count = Number()
    first_seen_at = Text()
    last_seen_at = Text()
    tool_calls = serializers.ListField(child=Text(), help_text="Newest first, at most 1,000.")
    tasks = serializers.ListField(child=Text(), help_text="Newest first, at most 1,000.")
    previous = Text(allow_null=True)
    assignee = Text(allow_null=True)
    closed_at = Text(allow_null=True)
    url = Text()


class IncidentFilter(django_filters.FilterSet):
    status = OneOf(choices=IncidentStatus.choices)
    severity = OneOf(choices=Severity.choices)
    rule = django_filters.CharFilter(field_name="rule__slug")
    agent = django_filters.CharFilter(field_name="agent__slug")

    class Meta:
        model = Incident
        fields: tuple[str, ...] = ()


def incidents_to_show(rows: QuerySet[Incident]) -> QuerySet[Incident]:
    """Rows with everything that `show_incident` reads."""
    hits = Detection.objects.order_by("-created_at", "-pk").only("pk", "incident", "tool_call")
    tasks = UserTask.objects.order_by("-created_at", "-pk").only("pk", "incident")
    return rows.select_related(
        "rule", "agent", "operation__integration", "assignee"
    ).prefetch_related(
        Prefetch("detections", queryset=hits[:MOST_LISTED], to_attr="newest_hits"),
        Prefetch("tasks", queryset=tasks[:MOST_LISTED], to_attr="newest_tasks"),
    )


def show_incident(row: Any, link: Link) -> dict[str, Any]:
    """An incident that came through `incidents_to_show`."""
    return {
        "id": str(row.pk),
        "rule": row.rule.slug,
        "agent": row.agent.slug,
        "operation": row.operation.reference,
        "status": row.status,
        "severity": row.severity,
        "count": row.count,
        "first_seen_at": utc_text(row.first_seen_at),
        "last_seen_at": utc_text(row.last_seen_at),
        "tool_calls": list(dict.fromkeys(str(hit.tool_call_id) for hit in row.newest_hits)),
        "tasks": [str(task.pk) for task in row.newest_tasks],
        "previous": str(row.previous_id) if row.previous_id else None,
        "assignee": row.assignee.username if row.assignee else None,
        "closed_at": utc_text(row.closed_at),
        "url": link("incident", row.pk),
    }


class IncidentApiView(ApiView):
    """What the addresses of incidents share: they are read here, and triaged in the back office."""

    serializer_class = IncidentShown

    def refuse_triage(self) -> NoReturn:
        self.actor.require_scope(Scope.ADMIN)
        text = "Incidents are triaged in the back office only."
        raise Forbidden(text, code="dashboard_only")


class IncidentsView(IncidentApiView):
    """The incidents of the workspace."""

    lists = True
    filterset_class = IncidentFilter

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(Scope.READ)
        rows = self.filtered(IncidentFilter, Incident.objects.visible_to(self.actor))
        return Response(
            page_of(request, incidents_to_show(rows), lambda row: show_incident(row, self.link))
        )


class IncidentView(IncidentApiView):
    """One incident."""

    @property
    def allowed_methods(self) -> list[str]:
        """What is done here; who tries more hears that the back office is the place for it."""
        return ["GET", "HEAD"]

    def get(self, request: Request, pk: str) -> HttpResponse:
        rows = incidents_to_show(Incident.objects.visible_to(self.actor))
        row = self.get_visible(rows, pk)
        self.actor.require_scope(Scope.READ)
        self.refuse_unknown(set())
        return Response(show_incident(row, self.link))

    def post(self, request: Request, pk: str) -> HttpResponse:
        return self._refused(pk)

    def put(self, request: Request, pk: str) -> HttpResponse:
        return self._refused(pk)

    def patch(self, request: Request, pk: str) -> HttpResponse:
        return self._refused(pk)

    def delete(self, request: Request, pk: str) -> HttpResponse:
        return self._refused(pk)

    def _refused(self, pk: str) -> HttpResponse:
        self.parsed()
        self.get_visible(Incident.objects.visible_to(self.actor), pk)
        self.refuse_triage()


class IncidentTriageView(IncidentApiView):
    """Acts on an incident (acknowledge, resolve, …) belong to the back office."""

    bodies: ClassVar[dict[str, type[StrictSerializer]]] = {}

    def post(self, request: Request, pk: str, act: str = "") -> HttpResponse:
        self.parsed()
        self.get_visible(Incident.objects.visible_to(self.actor), pk)
        self.refuse_triage()
