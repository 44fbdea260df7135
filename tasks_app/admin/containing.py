"""An agent's own page: frozen and thawed there too, without an incident."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.forms import said
from accounts_app.backoffice.pages import Page, register
from accounts_app.services.agents import get_agent
from accounts_app.states import Permission
from tasks_app.services.containment import freeze_agent, thaw_agent

TRIAGE = (Permission.DECIDE_ANOMALIES,)


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
