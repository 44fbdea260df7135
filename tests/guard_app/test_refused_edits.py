"""A person's edit that the guard blocks: seen by analysts, and never held against the agent."""

from typing import Any

import pytest

from guard_app.models import Detection, Incident
from integrations_app.models import Session, ToolCall
from integrations_app.services.execution import execute
from tasks_app.kinds import Answer as Given
from tasks_app.models import UserTask
from tasks_app.services.containable import active_sessions
from tasks_app.services.deciding import Decide, decide
from tasks_app.services.drafts import EditBlocked
from tests.api_client import Answer
from tests.backoffice.people import signed_in
from tests.backoffice.test_guard_pages import table_of
from tests.conftest import World
from tests.guard_app.test_screening import rule
from tests.tasks_app.test_edited_calls import editable, put

SMALL = {"parameters": {"when": "args.amount < 50"}}
EDIT = "An edit by decider was refused; the agent's call is as it was. "


def small(world: World, slug: str, effect: str, **members: Any) -> None:
    """A rule that hits small refunds."""
    rule(world, "condition", slug, name=slug, effect=effect, **SMALL, **members)


def refused(world: World, effect: str = "block") -> Answer:
    """A call that waits for approval, and of which an edit was refused."""
    call = editable(world)
    small(world, "small", effect)
    put(world, call, amount=40).refused(422, "blocked", "draft")
    return call


def test_all_that_hit_a_refused_edit_is_recorded(world: World) -> None:
    call = editable(world)
    small(world, "a-block", "block")
    small(world, "b-alert", "alert")
    small(world, "c-shadow", "block", shadow=True)
    small(world, "d-allow", "allow")
    put(world, call, amount=40).refused(422, "blocked", "draft")
    rows = Detection.objects.order_by("rule__slug").select_related("rule", "incident")
    assert [(row.rule.slug, row.effect, row.shadow, row.incident is None) for row in rows] == [
        ("a-block", "block", False, False),
        ("b-alert", "alert", False, False),
        ("c-shadow", "block", True, True),
        ("d-allow", "allow", False, True),
    ]
    for row in rows:
        assert (str(row.tool_call_id), row.decided) == (call["id"], False)
        assert row.explanation.startswith(EDIT)
        assert "args.amount = 40" in row.explanation
        assert row.refused_edit_by["name"] == "decider"
    found = world.agent.get("guard/detections?rule=a-block").ok()["results"]
    assert [(hit["explanation"].startswith(EDIT), hit["decided"]) for hit in found] == [
        (True, False)
    ]
    # Nobody is asked about it once more: the alert only counts.
    assert UserTask.objects.count() == 1


def test_refused_edits_fold_into_one_incident_and_the_call_waits(world: World) -> None:
    call = refused(world)
    body = {"draft": {"charge": "ch_1", "amount": 30}, "revision": 1}
    world.decider.post(f"tasks/{call['task']}/approve", body).refused(422, "blocked", "draft")
    incident = Incident.objects.get()
    assert (incident.count, incident.status, incident.severity) == (2, "open", "high")
    shown = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert (shown["status"], shown["incident"]) == ("awaiting_approval", None)
    listed = world.agent.get(f"guard/incidents/{incident.pk}").ok()
    assert listed["tool_calls"] == [call["id"]]
    # What the agent asked for runs as ever.
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    assert execute(ToolCall.objects.get().pk).status == "succeeded"


def test_an_edit_that_a_rule_would_end_the_session_for_ends_nothing(world: World) -> None:
    call = refused(world, "terminate_session")
    assert Session.objects.get().status == "active"
    assert world.agent.get(f"tool-calls/{call['id']}")["status"] == "awaiting_approval"
    assert Detection.objects.get().effect == "terminate_session"
    assert Incident.objects.get().severity == "critical"
    put(world, call, amount=60).ok()
    world.decider.post(f"tasks/{call['task']}/approve", {"revision": 2}).ok()
    assert execute(ToolCall.objects.get().pk).status == "succeeded"


def test_an_edit_in_the_back_office_names_the_person(world: World) -> None:
    call = editable(world)
    small(world, "small", "block")
    act = Decide(Given("approve"), draft={"charge": "ch_1", "amount": 40})
    task = UserTask.objects.get(pk=call["task"])
    with pytest.raises(EditBlocked):
        decide(world.cast.actor("ann"), task.pk, 1, lambda: act)
    hit = Detection.objects.get()
    assert hit.explanation.startswith("An edit by ann was refused")
    assert hit.refused_edit_by["type"] == "user"


def test_what_is_hit_and_not_refused_stays_a_hit_on_the_call(world: World) -> None:
    call = editable(world)
    small(world, "small", "alert")
    put(world, call, amount=40).ok()
    hit = Detection.objects.get()
    assert (hit.refused_edit_by, hit.decided) == (None, True)
    shown = world.agent.get(f"tool-calls/{call['id']}").ok()
    assert shown["incident"] == str(hit.incident_id)


def test_an_edit_makes_a_call_neither_later_nor_more_of_them(world: World) -> None:
    first = editable(world)
    others = [world.refund(900, first["run"]).ok(201) for _ in range(3)]
    for scope, more in (("run", {}), ("agent", {"window_seconds": 3600})):
        counted = {"scope": scope, "limit": 3, **more}
        rule(world, "call_count", f"many-{scope}", parameters=counted, effect="alert")
    put(world, first, amount=400).ok()
    assert not Detection.objects.exists(), "it was the first, and is so once more"
    put(world, others[-1], amount=400).ok()
    seen = Detection.objects.values_list("rule__slug", "explanation")
    assert {slug for slug, _ in seen} == {"many-agent", "many-run"}
    assert all("4" in explanation for _, explanation in seen)


def test_the_pages_say_that_it_was_a_persons_edit(world: World) -> None:
    call = refused(world)
    gus, pk = signed_in("gus"), Incident.objects.get().pk
    incident = gus.get(f"/admin/guard/incidents/{pk}/").content.decode()
    assert "all of them edits that people tried and that were refused" in incident
    assert "Refused edit (Block)" in incident
    assert "An edit by decider was refused" in incident
    assert gus.get(f"/admin/review/calls/{call['id']}/").status_code == 200
    run = signed_in("admin").get(f"/admin/review/runs/{call['run']}/").content.decode()
    assert "Guard: Refused edit (Block)" in run
    page = gus.get("/admin/guard/rules/small/").content.decode()
    assert "Refused edit (Block)" in page
    assert "This version hit" not in page


def test_the_figures_hold_nothing_against_the_agent(world: World) -> None:
    refused(world)
    world.refund(20).ok(201)
    html = signed_in("gus").get("/admin/guard/").content.decode()
    heads, rows = table_of(html, "effects")
    today = dict(zip(heads, rows[-1], strict=True))
    assert (today["Block"], today["Refused edits"], today["In shadow"]) == ("1", "1", "0")
    assert table_of(html, "agents")[1] == [["1"]]
    heads, rows = table_of(html, "precision")
    assert dict(zip(heads, rows[0], strict=True))["Hits"] == "1"
    page = signed_in("gus").get("/admin/guard/rules/small/").content.decode()
    assert "This version hit 1 call" in page


def test_ending_an_incidents_sessions_spares_those_of_refused_edits(world: World) -> None:
    edited = refused(world)
    incident = Incident.objects.get()
    assert active_sessions(incident) == []
    hit = world.refund(20).ok(201)
    assert hit["status"] == "blocked"
    incident.refresh_from_db()
    assert incident.count == 2
    sessions = {str(session.pk) for session in active_sessions(incident)}
    assert sessions == {str(ToolCall.objects.get(pk=hit["id"]).run.session_id)}
    assert str(ToolCall.objects.get(pk=edited["id"]).run.session_id) not in sessions
