"""The guard's overview, and incidents: found, triaged, and what contains their agents."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.db.models import Case, When
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase

from accounts_app.backoffice.forms import said
from accounts_app.backoffice.lists import listed, say_unread
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now
from accounts_app.errors import DomainError, Forbidden, NotFound
from accounts_app.links import page_path
from accounts_app.models import Agent, Membership
from accounts_app.services.workspace_settings import workspace_settings
from accounts_app.states import Permission, permissions_of
from guard_app.models import Incident
from guard_app.services import incidents
from guard_app.states import INCIDENT_OPEN, IncidentStatus, Severity
from tasks_app import guard_figures
from tasks_app.admin.containing import status_of, trouble_of
from tasks_app.models import UserTask

READ = (Permission.SEE_ANOMALIES, Permission.SEE_ALL_TASKS, Permission.READ_AUDIT)
SHOWN = 50
_GRAVITY = Case(*(When(severity=each, then=rank) for rank, each in enumerate(Severity)))
Act = Callable[["IncidentActPage", Incident], str]


@register("guard/", "guard")
class GuardPage(Page):
    """Hits over time, how often people agreed, and whose calls are hit."""

    title = "Guard"
    template_name = "tasks_app/guard.html"
    permissions = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        now = db_now()
        hits, capped = guard_figures.newest_hits(self.actor, now)
        open_ones = Incident.objects.visible_to(self.actor).of_statuses(*INCIDENT_OPEN)
        frozen = Agent.objects.visible_to(self.actor).filter(frozen_at__isnull=False)
        return self.render(
            effects=guard_figures.hits_by_effect(hits, now, capped),
            rules=guard_figures.hits_by_rule(hits, now, capped),
            precision=guard_figures.precision_by_rule(hits, capped),
            agents=guard_figures.hits_by_agent(hits, capped),
            failing=guard_figures.failures_by_rule(hits),
            worst=list(
                open_ones.select_related("rule", "agent", "operation__integration").order_by(
                    _GRAVITY.desc(), "-last_seen_at", "-pk"
                )[:8]
            ),
            frozen=list(frozen),
            screens=workspace_settings(self.actor.workspace_id).guard,
            now=now,
        )


@register("guard/incidents/", "incidents")
class IncidentsPage(Page):
    """Incidents, the open ones first."""

    title = "Incidents"
    template_name = "tasks_app/incidents.html"
    permissions = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = Incident.objects.visible_to(self.actor).select_related(
            "rule", "agent", "operation__integration", "assignee"
        )
        statuses = {"unresolved": "Unresolved", **dict(IncidentStatus.choices), "all": "All"}
        known = {
            "status": ("the status", statuses.__contains__),
            "severity": ("the severity", Severity.values.__contains__),
        }
        say_unread(request, known)
        status, severity = request.GET.get("status", ""), request.GET.get("severity", "")
        status = status if status in statuses else "unresolved"
        if status == "unresolved":
            rows = rows.of_statuses(*INCIDENT_OPEN)
        elif status != "all":
            rows = rows.filter(status=status)
        severity = severity if severity in Severity.values else ""
        if severity:
            rows = rows.filter(severity=severity)
        if request.GET.get("mine"):
            rows = rows.filter(assignee=self.actor.user_id)
        columns = ("rule__name", "rule__slug", "agent__slug", "operation__slug")
        return self.render(
            listed=listed(request, rows.order_by("-last_seen_at", "-pk"), columns),
            chosen=status,
            severity=severity,
            mine=bool(request.GET.get("mine")),
            statuses=list(statuses.items()),
            may_write=self.actor.can(Permission.DECIDE_ANOMALIES),
            severities=Severity.choices,
            now=db_now(),
        )


class IncidentBase(Page):
    """What the page of an incident and the acts on it show."""

    template_name = "tasks_app/incident.html"
    parents = (("Incidents", "admin:incidents"),)

    def show(
        self, pk: UUID, *, typed: dict[str, str] | None = None, refusal: DomainError | None = None
    ) -> HttpResponseBase:
        """The incident as it is now, with what was typed and why it was refused."""
        incident = incidents.get_incident(self.actor, pk)
        hits = incident.detections.select_related("tool_call__run")
        tasks = UserTask.objects.visible_to(self.actor).filter(incident=incident)
        found = list(tasks.order_by("-created_at")[: SHOWN + 1])
        members = Membership.objects.in_workspace(self.actor.workspace_id).filter(is_active=True)
        return self.render(
            status=status_of(refusal),
            typed=typed,
            trouble=trouble_of(refusal),
            title=str(incident),
            incident=incident,
            listed=listed(self.request, hits.order_by("-created_at", "-pk")),
            edits=incident.detections.filter(refused_edit_by__isnull=False).count(),
            tasks=found[:SHOWN],
            more_tasks=len(found) > SHOWN,
            notes=list(incident.notes.order_by("created_at")),
            analysts=[
                row.user.username
                for row in members.select_related("user")
                if Permission.DECIDE_ANOMALIES in permissions_of(row.role_set)
            ],
            may_triage=self.actor.can(Permission.DECIDE_ANOMALIES),
            is_open=incident.status in INCIDENT_OPEN,
            now=db_now(),
        )


@register("guard/incidents/<uuid:pk>/", "incident")
class IncidentPage(IncidentBase):
    """One incident: what was hit, what people do about it, and what stops the agent."""

    permissions = READ

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        return self.show(pk)


@register("guard/incidents/<uuid:pk>/<slug:act>/", "incident_act")
class IncidentActPage(IncidentBase):
    """An act on an incident; only a POST acts, and one that is refused shows the incident again."""

    permissions = (Permission.DECIDE_ANOMALIES,)

    def post(self, request: HttpRequest, pk: UUID, act: str) -> HttpResponseBase:
        incident = incidents.get_incident(self.actor, pk)
        if act not in ACTS:
            raise NotFound("There is no such act.")
        try:
            messages.success(request, ACTS[act](self, incident))
        except (NotFound, Forbidden):
            raise
        except DomainError as refusal:
            typed = {name: self.said(name) for name in ("note", "text", "assignee")}
            return self.show(pk, typed=typed, refusal=refusal)
        return HttpResponseRedirect(page_path("incident", pk))

    def said(self, name: str) -> str:
        """What was typed into a field."""
        return said(self.request, name)


def _acknowledge(page: IncidentActPage, incident: Incident) -> str:
    incidents.acknowledge(page.actor, incident.pk)
    return "Acknowledged."


def _resolve(page: IncidentActPage, incident: Incident) -> str:
    incidents.resolve(page.actor, incident.pk, page.said("note"))
    return "Resolved; the next hit opens a new incident."


def _dismiss(page: IncidentActPage, incident: Incident) -> str:
    incidents.dismiss(page.actor, incident.pk, page.said("note"))
    return "Dismissed as a false positive."


def _assign(page: IncidentActPage, incident: Incident) -> str:
    name = page.said("assignee")
    incidents.assign(page.actor, incident.pk, name)
    return f"Assigned to {name}." if name else "Assigned to nobody."


def _note(page: IncidentActPage, incident: Incident) -> str:
    incidents.note(page.actor, incident.pk, page.said("text"))
    return "The note is kept."


ACTS: dict[str, Act] = {
    "acknowledge": _acknowledge,
    "resolve": _resolve,
    "dismiss": _dismiss,
    "assign": _assign,
    "note": _note,
}
