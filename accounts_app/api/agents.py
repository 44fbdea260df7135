from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.api.fields import Flag, StrictSerializer, Text
from accounts_app.api.paging import page_of
from accounts_app.api.views import CATALOGUE_READERS, ApiView, utc_text
from accounts_app.models import Agent
from accounts_app.services.agents import check_own_agent, get_agent, put_agent
from accounts_app.states import Scope


class AgentBody(StrictSerializer):
    name = Text(max_length=120)
    tasks_enabled = Flag()
    description = Text(required=False, allow_blank=True, max_length=20_000)
    enabled = Flag(required=False)


class AgentShown(AgentBody):
    slug = Text()
    frozen = Flag()
    approval_required_until = Text(allow_null=True)
    created_at = Text()


def show_agent(agent: Agent) -> dict[str, Any]:
    """An agent as the API writes it."""
    return {
        "slug": agent.slug,
        "name": agent.name,
        "tasks_enabled": agent.tasks_enabled,
        "description": agent.description,
        "enabled": agent.enabled,
        "frozen": agent.is_frozen,
        "approval_required_until": utc_text(agent.approval_required_until),
        "created_at": utc_text(agent.created_at),
    }


class AgentListView(ApiView):
    """The agents of the workspace."""

    lists = True

    serializer_class = AgentShown

    def get(self, request: Request) -> HttpResponse:
        self.actor.require_scope(*CATALOGUE_READERS)
        self.refuse_unknown({"cursor", "limit"})
        return Response(page_of(request, Agent.objects.visible_to(self.actor), show_agent))


class AgentView(ApiView):
    """One agent, by its slug."""

    bodies: ClassVar = {"PUT": AgentBody}
    creates = True

    serializer_class = AgentShown

    def get(self, request: Request, slug: str) -> HttpResponse:
        agent = get_agent(self.actor, slug)
        self.actor.require_scope(*CATALOGUE_READERS)
        self.refuse_unknown(set())
        return Response(show_agent(agent))

    def put(self, request: Request, slug: str) -> HttpResponse:
        data = self.parsed()
        self.actor.require_scope(Scope.ADMIN)
        check_own_agent(self.actor, slug)
        self.check_slug(slug)
        body = self.body(AgentBody, data)
        agent, created = put_agent(self.actor, slug=slug, **body)
        return Response(show_agent(agent), status=201 if created else 200)
