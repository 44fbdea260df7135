"""What contains an agent: from an incident, once it is said what that does, or from its page."""

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from accounts_app.backoffice.forms import said
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now
from accounts_app.errors import Conflict, DomainError, FieldError, Forbidden, Invalid, NotFound
from accounts_app.links import page_path
from accounts_app.services.agents import get_agent
from accounts_app.states import Permission
from guard_app.models import Incident
from guard_app.services.incidents import get_incident
from tasks_app.admin.text import one_line
from tasks_app.services import containment
from tasks_app.services.containable import what_ends_with, what_is_open
from tasks_app.services.containment import freeze_agent, thaw_agent

TRIAGE = (Permission.DECIDE_ANOMALIES,)
MINUTE = "%Y-%m-%dT%H:%M"


@register("guard/incidents/<uuid:pk>/contain/<slug:act>/", "incident_contain")
class IncidentContainPage(Page):
    """Say what an act does to an incident's agent, and ask for the reason; then do it."""

    template_name = "tasks_app/contain.html"
    permissions = TRIAGE
    parents = (("Incidents", "admin:incidents"),)

    def get(self, request: HttpRequest, pk: UUID, act: str) -> HttpResponseBase:
        incident = self.incident(pk, act)
        until = incident.agent.approval_required_until
        if until is None or until <= db_now():
            return self.show(incident, act)
        return self.show(incident, act, until=f"{until.astimezone(dt.UTC):{MINUTE}}")

    def post(self, request: HttpRequest, pk: UUID, act: str) -> HttpResponseBase:
        incident = self.incident(pk, act)
        reason, until = said(request, "reason"), said(request, "until")
        try:
            done = ACTS[act][1](self, incident, reason)
        except (NotFound, Forbidden):
            raise
        except DomainError as refusal:
            status = 409 if isinstance(refusal, Conflict) else 422
            incident = self.incident(pk, act)
            return self.show(incident, act, reason, until, refusal=refusal, status=status)
        messages.success(request, done)
        return HttpResponseRedirect(page_path("incident", pk))

    def incident(self, pk: UUID, act: str) -> Incident:
        """The incident that the address names, where it names an act too."""
        incident = get_incident(self.actor, pk)
        if act not in ACTS:
            raise NotFound("There is no such act.")
        return incident

    def show(
        self,
        incident: Incident,
        act: str,
        reason: str = "",
        until: str = "",
        *,
        refusal: DomainError | None = None,
        status: int = 200,
    ) -> HttpResponseBase:
        """The confirmation, with what was typed and why it was refused."""
        agent = incident.agent
        more: dict[str, Any] = {"open": what_is_open(agent)}
        if act == "terminate":
            more["ends"] = what_ends_with(self.actor, incident)
        return self.render(
            status=status,
            title=f"{ACTS[act][0]} {one_line(agent.name, 80)}",
            incident=incident,
            agent=agent,
            does=act,
            is_over=act == "freeze" and agent.frozen_at is not None,
            typed={"reason": reason, "until": until},
            trouble=_trouble(refusal),
            **more,
        )


def _trouble(refusal: DomainError | None) -> dict[str, str]:
    if refusal is None:
        return {}
    if isinstance(refusal, Invalid):
        return {"field": refusal.errors[0].field, "text": refusal.errors[0].detail}
    return {"field": "", "text": refusal.detail}


def _freeze(page: IncidentContainPage, incident: Incident, reason: str) -> str:
    freeze_agent(page.actor, incident.agent_id, reason)
    return f"{incident.agent.name} is frozen: nothing of it starts or is sent."


def _require_approval(page: IncidentContainPage, incident: Incident, reason: str) -> str:
    until = _moment(said(page.request, "until"))
    containment.require_approval(page.actor, incident.agent_id, until, reason)
    if until is None:
        return "Calls of the agent need approval only where their operation says so."
    return f"Every call of the agent needs approval until {until:%Y-%m-%d %H:%M} UTC."


def _cancel(page: IncidentContainPage, incident: Incident, reason: str) -> str:
    count = containment.cancel_pending(page.actor, incident.agent_id, reason)
    return f"{count} call{'' if count == 1 else 's'} cancelled."


def _terminate(page: IncidentContainPage, incident: Incident, reason: str) -> str:
    count = containment.terminate_sessions(page.actor, incident.pk, reason)
    return f"{count} session{'' if count == 1 else 's'} terminated."


Act = Callable[[IncidentContainPage, Incident, str], str]
ACTS: dict[str, tuple[str, Act]] = {
    "freeze": ("Freeze", _freeze),
    "cancel": ("Cancel what is pending of", _cancel),
    "terminate": ("Terminate the sessions of", _terminate),
    "require-approval": ("Require approval of every call of", _require_approval),
}


def _moment(text: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise Invalid([FieldError("until", "invalid_value", "Must be a date and a time.")])
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


@register("agents/<slug:slug>/freeze/", "agent_freeze")
class AgentFreezePage(Page):
    """No call runs."""

    permissions = TRIAGE

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        agent = get_agent(self.actor, slug)

        def do() -> str:
            freeze_agent(self.actor, agent.pk, said(request, "reason"))
            return f"{agent.name} is frozen: nothing of it starts or is sent."

        return self.act(do, then=reverse("admin:agent", args=[slug]))


@register("agents/<slug:slug>/thaw/", "agent_thaw")
class AgentThawPage(Page):
    """What waited goes on."""

    permissions = TRIAGE

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        agent = get_agent(self.actor, slug)

        def do() -> str:
            thaw_agent(self.actor, agent.pk, said(request, "reason"))
            return f"{agent.name} is thawed; what waited goes on."

        return self.act(do, then=reverse("admin:agent", args=[slug]))
