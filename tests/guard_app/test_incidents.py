"""Incidents: folded, triaged in the back office, read over the API; and what contains an agent."""

import datetime as dt
import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from accounts_app.errors import Conflict, Forbidden, Invalid, NotFound
from accounts_app.models import Agent, AuditEntry
from accounts_app.scoping import Actor
from guard_app.models import Incident
from guard_app.services import incidents
from guard_app.services.incidents import acknowledge, assign, dismiss, note, resolve
from integrations_app.models import OutboxEvent, ToolCall
from integrations_app.services.execution import due_calls, execute
from tasks_app.models import UserTask
from tasks_app.services.containment import (
    cancel_pending,
    freeze_agent,
    require_approval,
    terminate_sessions,
    thaw_agent,
)
from tasks_app.services.sweeping import sweep
from tests.api_client import Api
from tests.conftest import World
from tests.guard_app.test_verdicts import refund, status, suspicious
from tests.tasks_app.racing import ROUNDS, race

on_postgresql = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="One writer at a time"
)


def opened(world: World, effect: str = "alert") -> Incident:
    suspicious(world, effect)
    refund(world)
    return Incident.objects.get()


def test_hits_are_folded_by_rule_agent_and_operation(world: World) -> None:
    incident = opened(world)
    second = refund(world)
    found = world.agent.get("guard/incidents").ok()["results"]
    assert len(found) == 1
    shown = world.agent.get(f"guard/incidents/{incident.pk}").ok()
    assert shown.json == found[0]
    assert (shown["rule"], shown["agent"]) == ("condition", "support")
    assert (shown["operation"], shown["status"]) == ("payments.refund", "open")
    assert (shown["severity"], shown["count"], shown["previous"]) == ("low", 2, None)
    assert shown["tool_calls"][0] == second["id"]
    assert len(shown["tool_calls"]) == len(shown["tasks"]) == 2
    assert shown["first_seen_at"] < shown["last_seen_at"]
    assert shown["url"].endswith(f"/admin/guard/incidents/{incident.pk}/")


def test_a_stricter_hit_raises_the_severity(world: World) -> None:
    opened(world)
    suspicious_again = {"name": "x", "detector": "condition", "parameters": {"when": "true"}}
    body = {**suspicious_again, "applies_to": {}, "effect": "block", "enabled": True}
    world.admin.put("guard/rules/condition", body).ok(200)
    refund(world)
    assert Incident.objects.get().severity == "high"


def test_one_open_incident_by_constraint(world: World) -> None:
    incident = opened(world)
    incident.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        Incident.objects.create(
            **{
                name: getattr(incident, name)
                for name in ("workspace", "created_at", "rule", "agent", "operation")
            },
            first_seen_at=incident.first_seen_at,
            last_seen_at=incident.last_seen_at,
        )


@pytest.mark.parametrize(("end", "name"), [(resolve, "resolved"), (dismiss, "dismissed")])
def test_a_hit_after_the_end_opens_a_new_incident(
    world: World, end: Callable[..., Incident], name: str
) -> None:
    first = opened(world)
    gus = world.cast.actor("gus")
    assert acknowledge(gus, first.pk).status == "acknowledged"
    refund(world)
    assert Incident.objects.get().count == 2
    assert end(gus, first.pk, "seen").status == name
    refund(world)
    newest = Incident.objects.first()
    assert newest is not None
    assert (newest.status, newest.count, newest.previous_id) == ("open", 1, first.pk)
    types = OutboxEvent.objects.filter(type__startswith="incident").values_list("type", flat=True)
    assert list(types) == ["incident.opened", "incident.closed", "incident.opened"]
    filtered = world.agent.get(f"guard/incidents?status={name}").ok()["results"]
    assert [row["id"] for row in filtered] == [str(first.pk)]


def test_resolve_beats_a_late_acknowledge(world: World) -> None:
    incident, gus, admin = opened(world), world.cast.actor("gus"), world.cast.actor("admin")
    resolve(gus, incident.pk)
    for act in (acknowledge, resolve, dismiss):
        with pytest.raises(Conflict, match="Already resolved by gus") as refusal:
            act(admin, incident.pk)
        assert refusal.value.code == "already_closed"
    assert Incident.objects.get().status == "resolved"


@pytest.mark.parametrize("who", ["ann", "bob", "ida", "aud", "cora"])
def test_only_analysts_triage(world: World, who: str) -> None:
    incident = opened(world)
    actor = world.cast.actor(who)
    expected = NotFound if who == "cora" else Forbidden
    acts = [
        partial(acknowledge, actor, incident.pk),
        partial(resolve, actor, incident.pk),
        partial(assign, actor, incident.pk, "gus"),
        partial(note, actor, incident.pk, "hello"),
        partial(freeze_agent, actor, world.cast.support.pk, "why"),
        partial(thaw_agent, actor, world.cast.support.pk, "why"),
        partial(require_approval, actor, world.cast.support.pk, None, "why"),
        partial(cancel_pending, actor, world.cast.support.pk, "why"),
        partial(terminate_sessions, actor, incident.pk, "why"),
    ]
    before = AuditEntry.objects.count()
    for act in acts:
        with pytest.raises(expected):
            act()
    assert AuditEntry.objects.count() == before
    assert Incident.objects.get().status == "open"


def test_an_incident_is_assigned_to_an_analyst_and_noted(world: World) -> None:
    incident, gus = opened(world), world.cast.actor("gus")
    assert assign(gus, incident.pk, "admin").assignee.username == "admin"
    assert assign(gus, incident.pk, "").assignee is None
    for name in ("ann", "cora", "nobody"):
        with pytest.raises(Invalid):
            assign(gus, incident.pk, name)
    assert note(gus, incident.pk, "calls from one address").by["name"] == "gus"
    for text in (" ", "x" * 10_001):
        with pytest.raises(Invalid):
            note(gus, incident.pk, text)
    assert incident.notes.count() == 1


def test_incidents_are_triaged_in_the_back_office_only(world: World) -> None:
    incident = opened(world)
    path = f"guard/incidents/{incident.pk}"
    for method, address in (
        ("POST", path),
        ("PUT", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}/acknowledge"),
        ("POST", f"{path}/resolve"),
    ):
        world.admin.ask(method, address, {}).refused(403, "dashboard_only")
        world.agent.ask(method, address, {}).refused(403, "insufficient_scope")
    assert Incident.objects.get().status == "open"
    elsewhere = Api(world.cast.key("admin,read", name="cora", workspace=world.cast.other))
    elsewhere.get(path).refused(404, "not_found")
    elsewhere.post(f"{path}/resolve", {}).refused(404, "not_found")
    assert elsewhere.get("guard/incidents").ok()["results"] == []
    world.decider.get("guard/incidents?status=bad").refused(422, "invalid_value")
    bound = Api(world.cast.key("read", name="bound", agent=world.cast.research))
    assert bound.get("guard/incidents").ok()["results"] == []
    bound.get(path).refused(404, "not_found")


def test_many_hits_at_once_make_one_incident(shared_world: World) -> None:
    world = shared_world
    suspicious(world, "alert")
    runs = [world.run() for _ in range(4)]
    race(*[partial(refund, world, 10, run) for run in runs])
    assert Incident.objects.get().count == 4


def two_hits_that_saw_no_incident(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls are hit at once, and both have looked for an open incident before either opens."""
    barrier, looked, plain = threading.Barrier(2, timeout=60), threading.local(), incidents._add

    def meet_once(*arguments: Any) -> Incident | None:
        found = plain(*arguments)
        if not hasattr(looked, "met"):
            looked.met = True
            barrier.wait()
        return found

    runs = [world.run() for _ in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr(incidents, "_add", meet_once)
        answers = race(*[partial(refund, world, 10, run) for run in runs])
    assert [answer.status for answer in answers] == [201, 201]


@on_postgresql
def test_two_hits_that_saw_no_incident_make_one(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspicious(shared_world, "alert")
    for _ in range(ROUNDS):
        two_hits_that_saw_no_incident(shared_world, monkeypatch)
        incident = Incident.objects.get(status="open")
        assert incident.count == 2
        resolve(shared_world.cast.actor("gus"), incident.pk)


@on_postgresql
def test_two_hits_without_the_constraint(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspicious(shared_world, "alert")
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'incident_one_open'")
        (definition,) = cursor.fetchone()
        cursor.execute("DROP INDEX incident_one_open")
    try:
        two_hits_that_saw_no_incident(shared_world, monkeypatch)
        # One burst, and two cases of it, which two analysts would take up.
        found = Incident.objects.order_by("pk").values_list("status", "count")
        assert list(found) == [("open", 1), ("open", 1)]
    finally:
        Incident.objects.update(status="resolved")
        with connection.cursor() as cursor:
            cursor.execute(definition)


def test_nothing_of_a_frozen_agent_is_sent_and_what_waits_stays(world: World) -> None:
    gus = world.cast.actor("gus")
    queued, waiting = refund(world, 10), refund(world, 900)
    freeze_agent(gus, world.cast.support.pk, "odd refunds")
    world.decider.post(f"tasks/{waiting['task']}/approve").ok()
    assert due_calls(10) == []
    for call in ToolCall.objects.all():
        assert execute(call.pk).status == ""
    sweep(execute_here=True)
    assert (status(world, queued), status(world, waiting)) == ("queued", "queued")
    assert world.receiver.hits == []
    world.refund(1, queued["run"]).refused(409, "agent_frozen")
    refusal = world.agent.post("sessions", {"agent": "support"}).refused(409, "agent_frozen")
    assert "must thaw it first" in refusal["detail"]
    agents = world.agent.get("agents/support")
    assert (agents["frozen"], agents["enabled"]) == (True, True)
    body = {"name": "Support", "tasks_enabled": True, "enabled": True}
    world.admin.put("agents/support", body).ok(200)
    world.refund(1, queued["run"]).refused(409, "agent_frozen")
    thaw_agent(gus, world.cast.support.pk, "it was a test")
    sweep(execute_here=True)
    assert (status(world, queued), status(world, waiting)) == ("succeeded", "succeeded")
    verbs = AuditEntry.objects.filter(target_type="agent").values_list("verb", flat=True)
    assert {"agent.frozen", "agent.thawed"} <= set(verbs)


def test_an_agent_frozen_between_claim_and_sending_sends_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, gus = refund(world, 10), world.cast.actor("gus")

    moments = iter(["mark.before_commit"])

    def freeze_now(name: str) -> None:
        if name == "mark.before_commit" and next(moments, None):
            freeze_agent(gus, world.cast.support.pk, "now")

    monkeypatch.setattr("integrations_app.services.execution.fault", freeze_now)
    assert execute(ToolCall.objects.get().pk).status == ""
    assert status(world, call) == "queued"
    assert world.receiver.hits == []
    thaw_agent(gus, world.cast.support.pk, "fine")
    assert execute(ToolCall.objects.get().pk).status == "succeeded"


def test_a_client_call_of_a_frozen_agent_waits_too(world: World) -> None:
    world.admin.put("integrations/shell", {"name": "Shell", "kind": "client"}).ok(201)
    body = {"name": "Run", "effect": "once", "requires_approval": True}
    world.admin.put("integrations/shell/operations/run", body).ok(201)
    gus = world.cast.actor("gus")
    asked = {"run": world.run(), "operation": "shell.run", "arguments": {}}
    call = world.agent.post("tool-calls", asked).ok(201)
    freeze_agent(gus, world.cast.support.pk, "why")
    world.decider.post(f"tasks/{call['task']}/approve").ok()
    assert status(world, call) == "queued"
    path = f"tool-calls/{call['id']}/result"
    world.agent.post(path, {"output": 1}).refused(409, "not_executing")
    sweep(execute_here=True)
    assert status(world, call) == "queued"
    thaw_agent(gus, world.cast.support.pk, "fine")
    assert status(world, call) == "executing"
    world.agent.post(path, {"output": 1}).ok()


def test_freezing_twice_and_without_a_reason_is_refused(world: World) -> None:
    gus, pk = world.cast.actor("gus"), world.cast.support.pk
    with pytest.raises(Invalid):
        freeze_agent(gus, pk, " ")
    with pytest.raises(Conflict):
        thaw_agent(gus, pk, "x")
    freeze_agent(gus, pk, "x")
    with pytest.raises(Conflict):
        freeze_agent(gus, pk, "x")
    assert Agent.objects.get(pk=pk).frozen_reason == "x"


def test_every_call_needs_approval_until_a_date(
    world: World, move_clock: Callable[[float], None]
) -> None:
    gus, pk = world.cast.actor("gus"), world.cast.support.pk
    queued = refund(world, 10)
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    require_approval(gus, pk, tomorrow, "odd refunds")
    call = refund(world, 10)
    assert call["status"] == "awaiting_approval"
    assert "Every call of this agent" in UserTask.objects.get().why[0]["rule"]
    sweep(execute_here=True)
    assert status(world, queued) == "awaiting_approval"
    assert world.receiver.hits == []
    move_clock(90_000)
    assert refund(world, 10)["status"] == "queued"
    with pytest.raises(Invalid):
        require_approval(gus, pk, tomorrow, "odd refunds")


def test_what_waits_can_be_cancelled_and_the_sessions_terminated(world: World) -> None:
    incident, gus = opened(world), world.cast.actor("gus")
    run = ToolCall.objects.get().run
    waiting, queued = refund(world, 900, str(run.pk)), refund(world, 10)
    assert cancel_pending(gus, world.cast.support.pk, "contained") == 3
    assert (status(world, waiting), status(world, queued)) == ("cancelled", "cancelled")
    assert UserTask.objects.get(kind="approval").status == "cancelled"
    assert UserTask.objects.filter(kind="anomaly_alert", status="pending").count() == 2
    assert terminate_sessions(gus, incident.pk, "contained") == 2
    assert terminate_sessions(gus, incident.pk, "contained") == 0
    session = world.agent.get(f"sessions/{run.session_id}")
    assert session["status"] == "terminated"


ACTS: dict[str, Callable[[Actor, Incident], object]] = {
    "incident.acknowledged": lambda gus, incident: acknowledge(gus, incident.pk),
    "incident.resolved": lambda gus, incident: resolve(gus, incident.pk),
    "incident.dismissed": lambda gus, incident: dismiss(gus, incident.pk),
    "incident.assigned": lambda gus, incident: assign(gus, incident.pk, "gus"),
    "incident.noted": lambda gus, incident: note(gus, incident.pk, "one address"),
    "agent.frozen": lambda gus, incident: freeze_agent(gus, incident.agent_id, "odd"),
    "agent.approval_required": lambda gus, incident: require_approval(
        gus, incident.agent_id, dt.datetime.now(dt.UTC) + dt.timedelta(days=1), "odd"
    ),
}


@pytest.mark.parametrize("verb", ACTS)
def test_each_act_leaves_one_audit_entry(world: World, verb: str) -> None:
    incident, gus = opened(world), world.cast.actor("gus")
    known = list(AuditEntry.objects.values_list("pk", flat=True))
    ACTS[verb](gus, incident)
    left = AuditEntry.objects.exclude(pk__in=known)
    assert [(entry.verb, entry.actor_name) for entry in left] == [(verb, "gus")]


@pytest.mark.parametrize(
    ("end", "verb"),
    [(resolve, "incident.resolved"), (dismiss, "incident.dismissed"), (note, "incident.noted")],
)
def test_an_act_with_a_note_leaves_one_audit_entry_that_names_the_note(
    world: World, end: Callable[..., object], verb: str
) -> None:
    incident, gus = opened(world), world.cast.actor("gus")
    known = list(AuditEntry.objects.values_list("pk", flat=True))
    end(gus, incident.pk, "Seen at the till, zebra.")
    left = AuditEntry.objects.exclude(pk__in=known)
    assert [entry.verb for entry in left] == [verb]
    assert json.loads(left.get().data) == {"note": str(incident.notes.get().pk)}


def test_thawing_leaves_one_audit_entry(world: World) -> None:
    incident, gus = opened(world), world.cast.actor("gus")
    freeze_agent(gus, incident.agent_id, "odd")
    known = list(AuditEntry.objects.values_list("pk", flat=True))
    thaw_agent(gus, incident.agent_id, "it was a test")
    left = AuditEntry.objects.exclude(pk__in=known)
    assert [(entry.verb, entry.actor_name) for entry in left] == [("agent.thawed", "gus")]


@pytest.mark.parametrize(
    ("act", "verb"),
    [
        (lambda gus, found: cancel_pending(gus, found.agent_id, "odd"), "agent.calls_cancelled"),
        (lambda gus, found: terminate_sessions(gus, found.pk, "odd"), "session.terminated"),
    ],
)
def test_what_cancels_others_leaves_one_audit_entry_of_its_own(
    world: World, act: Callable[[Actor, Incident], object], verb: str
) -> None:
    incident, gus = opened(world), world.cast.actor("gus")
    known = list(AuditEntry.objects.values_list("pk", flat=True))
    act(gus, incident)
    left = AuditEntry.objects.exclude(pk__in=known)
    assert left.filter(verb=verb).count() == 1


def test_each_change_of_a_rule_leaves_one_audit_entry(world: World) -> None:
    body = {"name": "x", "detector": "condition", "parameters": {"when": "true"}}
    body |= {"applies_to": {}, "effect": "alert", "enabled": True}
    changes = [(body, 201), ({**body, "name": "y"}, 200), ({**body, "enabled": False}, 200)]
    for values, answer in changes:
        world.admin.put("guard/rules/odd", values).ok(answer)
    left = AuditEntry.objects.filter(target_type="guard_rule", target_name="odd")
    verbs = left.order_by("sequence").values_list("verb", flat=True)
    assert list(verbs) == ["rule.created", "rule.changed", "rule.changed"]
