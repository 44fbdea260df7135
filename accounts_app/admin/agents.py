"""Agents: found among hundreds, switched on and off, frozen."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts_app.backoffice.forms import BackOfficeForm, FormPage, NamedForm, slug_field
from accounts_app.backoffice.lists import listed
from accounts_app.backoffice.pages import Page, leads_to, register
from accounts_app.errors import FieldError, Invalid
from accounts_app.models import Agent
from accounts_app.services.agents import get_agent, put_agent, resume_agent
from accounts_app.states import Permission

READ = (Permission.READ_CATALOGUE,)
WRITE = (Permission.WRITE_CATALOGUE,)
PARENTS = (("Agents", "admin:agents"),)
VALUES = ("name", "description", "tasks_enabled", "enabled")


class AgentForm(NamedForm):
    slug = slug_field("How the agent names itself to the API; it cannot be changed later.")
    description = forms.CharField(
        required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 3})
    )
    tasks_enabled = forms.BooleanField(
        label="May ask people",
        required=False,
        help_text="Off: its calls that need approval, and its tasks, are refused.",
    )
    enabled = forms.BooleanField(
        label="Enabled",
        required=False,
        help_text="Off: the agent is frozen, and nothing of it starts.",
    )


@register("agents/", "agents")
class AgentsPage(Page):
    """The agents of the workspace."""

    title = "Agents"
    template_name = "accounts_app/agents.html"
    permissions = READ

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = Agent.objects.visible_to(self.actor)
        found = listed(request, rows, ("slug", "name", "description"))
        return self.render(listed=found, may_write=self.actor.can(*WRITE))


@register("add/agent/", "agent_add")
class AgentAddPage(FormPage):
    """A new agent."""

    title = "Add an agent"
    template_name = "accounts_app/form_page.html"
    permissions = write_permissions = WRITE
    parents = PARENTS

    def build_form(self, data: Any) -> BackOfficeForm:
        return AgentForm(data, initial={"tasks_enabled": True, "enabled": True})

    def more(self) -> dict[str, Any]:
        return {"button": "Add the agent"}

    def save(self, form: BackOfficeForm) -> str:
        slug = form.cleaned_data["slug"]
        if Agent.objects.visible_to(self.actor).filter(slug=slug).exists():
            raise Invalid([FieldError("slug", "key_exists", f"An agent {slug!r} exists.")])
        agent, _ = put_agent(self.actor, **form.cleaned_data)
        return f"“{agent.name}” is there. It needs an API key with the scope runs."

    def next_page(self) -> str:
        return reverse("admin:agents")


@register("agents/<slug:slug>/", "agent")
class AgentPage(FormPage):
    """One agent and its switches."""

    template_name = "accounts_app/agent.html"
    permissions = READ
    write_permissions = WRITE
    parents = PARENTS
    row: Agent

    def prepare(self, **names: Any) -> None:
        self.row = get_agent(self.actor, names["slug"])

    def build_form(self, data: Any) -> BackOfficeForm:
        form = AgentForm(data, initial={name: getattr(self.row, name) for name in VALUES})
        del form.fields["slug"]
        return form

    def more(self) -> dict[str, Any]:
        return {
            "title": self.row.name,
            "row": self.row,
            "may_triage": self.actor.can(Permission.DECIDE_ANOMALIES),
            "sees_sessions": leads_to(self.actor, "sessions"),
        }

    def save(self, form: BackOfficeForm) -> str:
        put_agent(self.actor, slug=self.row.slug, **form.cleaned_data)
        return "The agent is saved; it holds from its next request on."


@register("agents/<slug:slug>/resume/", "agent_resume")
class AgentResumePage(Page):
    """New calls again."""

    permissions = WRITE

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        def do() -> str:
            return f"{resume_agent(self.actor, slug).name} may call again."

        return self.act(do, then=reverse("admin:agent", args=[slug]))


@register("agents/<slug:slug>/switch/", "agent_switch")
class AgentSwitchPage(Page):
    """One switch of an agent, from the list."""

    permissions = WRITE

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        row = get_agent(self.actor, slug)
        name = request.POST.get("name", "")
        if name not in ("tasks_enabled", "enabled"):
            raise Invalid([FieldError("name", "invalid_value", "There is no such switch.")])
        on = request.POST.get("on") == "1"

        def do() -> str:
            values = {field: getattr(row, field) for field in VALUES}
            put_agent(self.actor, slug=slug, **{**values, name: on})
            return f"{row.name}: {SAID[name, on]}"

        query = f"?{request.GET.urlencode()}" if request.GET else ""
        return self.act(do, then=reverse("admin:agents") + query)


SAID = {
    ("tasks_enabled", True): "may ask people from now on.",
    ("tasks_enabled", False): "asks nobody any more.",
    ("enabled", True): "is enabled again.",
    ("enabled", False): "is frozen: nothing of it starts.",
}
