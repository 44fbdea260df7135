"""What contains an agent, from an incident and from the agent's page.

Each act says first what it would do, in numbers, and asks for the reason; a refusal keeps what was
typed.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from accounts_app.backoffice.forms import said
from accounts_app.backoffice.pages import Page, register
from accounts_app.clock import db_now, in_utc
from accounts_app.errors import Conflict, DomainError, FieldError, Forbidden, Invalid, NotFound
from accounts_app.links import page_path
from accounts_app.models import Agent
from accounts_app.services.agents import get_agent, pause_agent
from accounts_app.states import Permission
from guard_app.models import Incident
from guard_app.services.incidents import get_incident
from tasks_app.admin.text import one_line
from tasks_app.services import containment
from tasks_app.services.containable import what_ends_with, what_is_open

TRIAGE = (Permission.DECIDE_ANOMALIES,)
WRITE = (Permission.WRITE_CATALOGUE,)
MINUTE = "%Y-%m-%dT%H:%M"


class ContainPage(Page):
    """Say what an act does to an agent, and ask for the reason; then do it."""

    template_name = "tasks_app/contain.html"
    agent: Agent
    does: str
    incident: Incident | None = None
    back: str

    def get(self, request: HttpRequest, **names: Any) -> HttpResponseBase:
        until = self.agent.approval_required_until
        if until is None or until <= db_now():
            return self.show()
        return self.show(until=f"{until.astimezone(dt.UTC):{MINUTE}}")

    def post(self, request: HttpRequest, **names: Any) -> HttpResponseBase:
        reason = said(request, "reason")
        try:
            done = ACTS[self.does].do(self, reason)
        except (NotFound, Forbidden):
            raise
        except DomainError as refusal:
            self.prepare(**names)
            return self.show(reason, said(request, "until"), refusal=refusal)
        messages.success(request, done)
        return HttpResponseRedirect(self.back)

    def show(
        self, reason: str = "", until: str = "", *, refusal: DomainError | None = None
    ) -> HttpResponseBase:
        """The confirmation, with what was typed and why it was refused."""
        agent, act = self.agent, ACTS[self.does]
        more: dict[str, Any] = {"open": what_is_open(agent)}
        if self.does == "terminate" and self.incident is not None:
            more["ends"] = what_ends_with(self.actor, self.incident)
        return self.render(
            status=status_of(refusal),
            title=f"{act.title} {one_line(agent.name, 80)}",
            incident=self.incident,
            agent=agent,
            does=self.does,
            back=self.back,
            is_over=act.is_over(agent),
            typed={"reason": reason, "until": until},
            trouble=trouble_of(refusal),
            **more,
        )


def status_of(refusal: DomainError | None) -> int:
    """The status of a form that is shown, or shown again because it was refused."""
    return 200 if refusal is None else 409 if isinstance(refusal, Conflict) else 422


def trouble_of(refusal: DomainError | None) -> dict[str, str]:
    """Why a form was refused: the field, where there is one, and the sentence."""
    if refusal is None:
        return {}
    if isinstance(refusal, Invalid):
        return {"field": refusal.errors[0].field, "text": refusal.errors[0].detail}
    return {"field": "", "text": refusal.detail}


def _pause(page: ContainPage, reason: str) -> str:
    row = pause_agent(page.actor, page.agent.slug, reason)
    return f"{row.name} is paused: no new call is taken; what waits goes on."


def _freeze(page: ContainPage, reason: str) -> str:
    containment.freeze_agent(page.actor, page.agent.pk, reason)
    return f"{page.agent.name} is frozen: nothing of it starts or is sent."


def _thaw(page: ContainPage, reason: str) -> str:
    containment.thaw_agent(page.actor, page.agent.pk, reason)
    return f"{page.agent.name} is thawed; what waited goes on."


def _require_approval(page: ContainPage, reason: str) -> str:
    until = _moment(said(page.request, "until"))
    containment.require_approval(page.actor, page.agent.pk, until, reason)
    if until is None:
        return "Calls of the agent need approval only where their operation says so."
    return f"Every call of the agent needs approval until {until:%Y-%m-%d %H:%M} UTC."


def _cancel(page: ContainPage, reason: str) -> str:
    count = containment.cancel_pending(page.actor, page.agent.pk, reason)
    return f"{count} call{'' if count == 1 else 's'} cancelled."


def _terminate(page: ContainPage, reason: str) -> str:
    assert page.incident is not None
    count = containment.terminate_sessions(page.actor, page.incident.pk, reason)
    return f"{count} session{'' if count == 1 else 's'} terminated."


def _never(agent: Agent) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Act:
    """One way to contain an agent, or to let it go on.

    Args:
        title: what stands before the agent's name.
        do: calls the service; the sentence that says what was done.
        is_over: whether there is nothing to confirm, because it was done already.
    """

    title: str
    do: Callable[[ContainPage, str], str]
    is_over: Callable[[Agent], bool] = _never


ACTS: dict[str, Act] = {
    "pause": Act("Pause", _pause, lambda agent: agent.paused_at is not None),
    "freeze": Act("Freeze", _freeze, lambda agent: agent.frozen_at is not None),
    "thaw": Act("Thaw", _thaw, lambda agent: agent.frozen_at is None),
    "cancel": Act("Cancel what is pending of", _cancel),
    "terminate": Act("Terminate the sessions of", _terminate),
    "require-approval": Act("Require approval of every call of", _require_approval),
}
OF_AN_INCIDENT = ("freeze", "thaw", "cancel", "terminate", "require-approval")


def _moment(text: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        moment = parse_datetime(text)
        if moment is not None:
            return in_utc(moment)
    except ValueError:
        pass
    raise Invalid([FieldError("until", "invalid_value", "Must be a date and a time.")])


@register("guard/incidents/<uuid:pk>/contain/<slug:act>/", "incident_contain")
class IncidentContainPage(ContainPage):
    """Contains an incident's agent."""

    permissions = TRIAGE
    parents = (("Incidents", "admin:incidents"),)

    def prepare(self, **names: Any) -> None:
        self.incident = get_incident(self.actor, names["pk"])
        if names["act"] not in OF_AN_INCIDENT:
            raise NotFound("There is no such act.")
        self.agent, self.does = self.incident.agent, names["act"]
        self.back = page_path("incident", names["pk"])


class AgentContainPage(ContainPage):
    """Contains the agent whose page it is."""

    parents: ClassVar = (("Agents", "admin:agents"),)

    def prepare(self, **names: Any) -> None:
        self.agent = get_agent(self.actor, names["slug"])
        self.back = reverse("admin:agent", args=[names["slug"]])


@register("agents/<slug:slug>/pause/", "agent_pause")
class AgentPausePage(AgentContainPage):
    """No new calls; what waits goes on."""

    permissions = WRITE
    does = "pause"


@register("agents/<slug:slug>/freeze/", "agent_freeze")
class AgentFreezePage(AgentContainPage):
    """No call runs."""

    permissions = TRIAGE
    does = "freeze"


@register("agents/<slug:slug>/thaw/", "agent_thaw")
class AgentThawPage(AgentContainPage):
    """What waited goes on."""

    permissions = TRIAGE
    does = "thaw"
