"""The agents' pages: found among hundreds, switched by who may."""

from uuid import UUID

import pytest

from accounts_app.errors import Conflict, Forbidden, NotFound
from accounts_app.models import Agent, AuditEntry, User
from accounts_app.scoping import system_actor
from accounts_app.services.agents import pause_agent, put_agent, resume_agent
from accounts_app.services.members import member_actor
from integrations_app.models import ToolCall
from integrations_app.services.execution import execute
from tasks_app.kinds import Answer
from tasks_app.services.deciding import Decide, decide
from tests.backoffice.people import signed_in
from tests.backoffice.rows import fingerprint
from tests.conftest import Cast, World


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


def act(username: str, path: str, **form: str) -> int:
    return signed_in(username).post(f"/admin/agents/support/{path}/", form).status_code


def test_a_paused_agent_makes_no_new_call_and_what_waits_is_decided_and_sent(world: World) -> None:
    waiting = world.refund(900).ok(201)
    queued = world.refund(1).ok(201)
    assert act("ida", "pause", reason="Too many refunds.") == 302
    refused = world.refund(2, run=waiting["run"]).refused(409, "agent_frozen")
    assert "paused" in refused["detail"]
    assert ToolCall.objects.count() == 2
    ann = world.cast.actor("ann")
    decide(ann, UUID(waiting["task"]), 1, lambda: Decide(Answer("approve", None, None)))
    for call in (waiting, queued):
        execute(UUID(call["id"]))
    assert set(ToolCall.objects.values_list("status", flat=True)) == {"succeeded"}
    agent = Agent.objects.get(slug="support")
    shown = world.agent.get("agents/support").ok(200)
    assert (agent.is_frozen, shown["frozen"]) == (False, False)
    act("ida", "resume")
    world.refund(2, run=waiting["run"]).ok(201)
    verbs = AuditEntry.objects.filter(verb__in=["agent.paused", "agent.resumed"])
    assert list(verbs.order_by("sequence").values_list("verb", "data")) == [
        ("agent.paused", '{"reason":"Too many refunds."}'),
        ("agent.resumed", "{}"),
    ]


def test_a_call_that_was_asked_for_before_the_pause_is_found_by_its_key(world: World) -> None:
    run = world.run()
    first = world.refund(900, run=run, key="k1").ok(201)
    act("ida", "pause", reason="x")
    assert world.refund(900, run=run, key="k1").ok(200)["id"] == first["id"]


def test_a_pause_wants_its_reason_and_is_not_repeated(cast: Cast) -> None:
    ida = cast.actor("ida")
    act("ida", "pause", reason="  ")
    assert Agent.objects.get(slug="support").paused_at is None
    pause_agent(ida, "support", "first")
    act("ida", "pause", reason="second")
    assert Agent.objects.get(slug="support").paused_reason == "first"
    with pytest.raises(Conflict) as refusal:
        resume_agent(ida, "research")
    assert refusal.value.code == "not_paused"
    assert AuditEntry.objects.filter(verb="agent.paused").count() == 1


@pytest.mark.parametrize("username", ["ann", "bob", "gus", "aud", "cora"])
def test_nobody_else_pauses_an_agent(cast: Cast, username: str) -> None:
    assert act(username, "pause", reason="x") == 403
    assert Agent.objects.get(slug="support").paused_at is None
    with pytest.raises((Forbidden, NotFound)):
        pause_agent(member_actor(User.objects.get(username=username)), "support", "x")


def test_list_and_page_say_that_an_agent_is_paused_and_why(cast: Cast) -> None:
    ida, ann = signed_in("ida"), signed_in("ann")
    page = "/admin/agents/support/"
    assert "Pause Support" in ida.get(page).content.decode()
    assert "Pause Support" not in ann.get(page).content.decode()
    act("ida", "pause", reason="Looking into it.")
    assert "Paused" in ann.get("/admin/agents/").content.decode()
    said = ann.get(page).content.decode()
    assert "Looking into it." in said
    assert "Take its calls again" not in said


def test_an_analyst_freezes_and_thaws_from_the_agents_page(cast: Cast) -> None:
    assert "Freeze Support" in signed_in("gus").get("/admin/agents/support/").content.decode()
    assert "Freeze Support" not in signed_in("ida").get("/admin/agents/support/").content.decode()
    act("gus", "freeze", reason="odd")
    assert Agent.objects.get(slug="support").frozen_reason == "odd"
    act("gus", "thaw", reason="fine")
    assert Agent.objects.get(slug="support").frozen_at is None


def test_each_way_to_stop_an_agent_says_first_how_much_of_it_is_open(world: World) -> None:
    run = str(world.run())
    for amount in (900, 901, 1):
        world.refund(amount, run=run).ok(201)
    ida, gus = signed_in("ida"), signed_in("gus")
    before = fingerprint()
    pause = ida.get("/admin/agents/support/pause/").content.decode()
    for part in (
        "<strong>1</strong> approved or queued call will still be sent",
        "<strong>2</strong> calls that wait for a person can still be decided, and are sent once",
        "<strong>2</strong> tasks of it wait for a person, and stay open",
        "<strong>1</strong> open run whose next call is refused",
    ):
        assert part in pause, part
    freeze = gus.get("/admin/agents/support/freeze/").content.decode()
    for part in (
        "<strong>1</strong> approved or queued call will stay waiting",
        "<strong>2</strong> calls that wait for a person can still be decided",
        "<strong>2</strong> tasks of it wait",
        "<strong>1</strong> open run whose",
    ):
        assert part in freeze, part
    assert "is not frozen" in gus.get("/admin/agents/support/thaw/").content.decode()
    assert fingerprint() == before


@pytest.mark.parametrize(
    ("username", "verb"), [("ida", "pause"), ("gus", "freeze"), ("gus", "thaw")]
)
def test_a_refused_reason_is_kept_on_the_page_that_asked_for_it(
    cast: Cast, username: str, verb: str
) -> None:
    client, path = signed_in(username), f"/admin/agents/support/{verb}/"
    if verb == "thaw":
        act("gus", "freeze", reason="odd")
    before = fingerprint()
    for reason, why in ((" ", "Say why."), ("zebra <b>" * 300, "At most 2000")):
        answer = client.post(path, {"reason": reason})
        assert (answer.status_code, why in answer.content.decode()) == (422, True)
    assert "zebra &lt;b&gt;" * 300 in answer.content.decode()
    assert fingerprint() == before


def test_whoever_pauses_second_is_told_and_keeps_the_reason(cast: Cast) -> None:
    act("ida", "pause", reason="first")
    answer = signed_in("admin").post("/admin/agents/support/pause/", {"reason": "my own reason"})
    assert answer.status_code == 409
    assert "paused already" in answer.content.decode()
    assert "my own reason</textarea>" in answer.content.decode()
    assert Agent.objects.get(slug="support").paused_reason == "first"


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


def test_an_agents_page_leads_to_its_sessions_and_to_what_waits(world: World) -> None:
    world.run(title="Chat with Noor")
    html = signed_in("ann").get("/admin/agents/support/").content.decode()
    for path in ("/admin/sessions/?agent=support", "/admin/review/approvals/?agent=support"):
        assert f'href="{path}"' in html
        assert signed_in("ann").get(path).status_code == 200
    assert (
        "Chat with Noor" in signed_in("ann").get("/admin/sessions/?agent=support").content.decode()
    )
    assert "Its sessions" not in signed_in("ida").get("/admin/agents/support/").content.decode()
    assert signed_in("ida").get("/admin/sessions/").status_code == 403
