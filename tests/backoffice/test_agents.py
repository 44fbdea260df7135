"""The agents' pages: found among hundreds, switched by who may."""

import pytest

from accounts_app.models import Agent
from accounts_app.scoping import system_actor
from accounts_app.services.agents import put_agent
from tests.backoffice.people import signed_in
from tests.conftest import Cast


def test_three_hundred_agents_are_searched_and_paged(cast: Cast) -> None:
    system = system_actor(cast.workspace.pk)
    for number in range(298):
        put_agent(system, slug=f"bot-{number:03}", name=f"Bot {number}", tasks_enabled=True)
    ida = signed_in("ida")
    first = ida.get("/admin/agents/").context["listed"]
    assert (len(first.rows), first.newer, first.older) == (50, "", "?page=2")
    last = ida.get("/admin/agents/?page=6").context["listed"]
    assert (len(last.rows), last.older) == (50, "")
    found = ida.get("/admin/agents/?q=BOT+277").context["listed"].rows
    assert [agent.slug for agent in found] == ["bot-277"]


def test_an_agent_that_an_analyst_froze_says_so(cast: Cast) -> None:
    ida = signed_in("ida")
    assert "Frozen by an analyst" not in ida.get("/admin/agents/").content.decode()
    Agent.objects.filter(slug="support").update(frozen_at=cast.support.created_at)
    assert "Frozen by an analyst" in ida.get("/admin/agents/").content.decode()


@pytest.mark.parametrize("name", ["tasks_enabled", "enabled"])
def test_a_switch_of_the_list_moves_that_switch_alone(cast: Cast, name: str) -> None:
    ida = signed_in("ida")
    answer = ida.post("/admin/agents/support/switch/?q=sup", {"name": name, "on": "0"})
    assert answer.headers["Location"] == "/admin/agents/?q=sup"
    agent = Agent.objects.get(slug="support")
    other = "enabled" if name == "tasks_enabled" else "tasks_enabled"
    assert (getattr(agent, name), getattr(agent, other)) == (False, True)


def test_a_switch_that_is_none_is_refused(cast: Cast) -> None:
    answer = signed_in("ida").post("/admin/agents/support/switch/", {"name": "slug", "on": "1"})
    assert answer.status_code == 422
    assert Agent.objects.get(slug="support").enabled


@pytest.mark.parametrize("username", ["ann", "bob", "gus", "aud", "cora"])
def test_nobody_else_switches_an_agent(cast: Cast, username: str) -> None:
    path, form = "/admin/agents/support/switch/", {"name": "enabled", "on": "0"}
    assert signed_in(username).post(path, form).status_code == 403
    assert Agent.objects.get(slug="support").enabled


def test_an_agent_is_added_once_and_edited(cast: Cast) -> None:
    ida = signed_in("ida")
    form = {"slug": "mailer", "name": "Mailer", "enabled": "on"}
    assert ida.post("/admin/add/agent/", form).status_code == 302
    again = ida.post("/admin/add/agent/", {**form, "name": "Other"})
    assert list(again.context["form"].errors) == ["slug"]
    ida.post("/admin/agents/mailer/", {"name": "Post", "tasks_enabled": "on"})
    agent = Agent.objects.get(slug="mailer")
    assert (agent.name, agent.tasks_enabled, agent.enabled) == ("Post", True, False)
    assert signed_in("cora").get("/admin/agents/mailer/").status_code == 404
