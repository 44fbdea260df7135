"""What waited while an agent was frozen is sent once when it is thawed, whoever is at work."""

from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection  # noqa: F401 - the marks ask it

from accounts_app.errors import Conflict
from guard_app.models import Incident
from guard_app.services import incidents
from guard_app.services.incidents import acknowledge, dismiss, resolve
from integrations_app.models import Attempt, ToolCall
from integrations_app.services.execution import execute
from tasks_app.services.containment import freeze_agent, thaw_agent
from tasks_app.services.sweeping import sweep
from tests.conftest import World
from tests.guard_app.test_incidents import on_postgresql
from tests.guard_app.test_verdicts import refund, status, suspicious
from tests.tasks_app.racing import ROUNDS, race


def waiting(world: World) -> dict[str, str]:
    """Approved, queued and asked-about calls of each effect: id of the call, and its task."""
    run = world.run()
    found = {}
    for amount in (200, 300, 400):
        call = world.refund(amount, run).ok(201)
        found[str(call["id"])] = str(call["task"])
    body = {"run": run, "operation": "payments.send_receipt", "arguments": {"charge": "c"}}
    found[str(world.agent.post("tool-calls", body).ok(201)["id"])] = ""
    found[str(world.refund(10, run).ok(201)["id"])] = ""
    return found


def workers(ids: list[UUID]) -> list[Any]:
    """Every call executed by two workers at once, beside two sweeps."""
    doubled = [partial(execute, pk) for pk in ids for _ in range(2)]
    return [*doubled, *[partial(sweep, execute_here=True)] * 2]


@on_postgresql
def test_what_waited_is_sent_once_after_the_thaw(shared_world: World) -> None:
    world, gus = shared_world, shared_world.cast.actor("gus")
    calls = waiting(world)
    ids = [UUID(pk) for pk in calls]
    freeze_agent(gus, world.cast.support.pk, "odd refunds")
    for task in filter(None, calls.values()):
        world.decider.post(f"tasks/{task}/approve").ok()
    race(*workers(ids))
    assert (world.receiver.hits, Attempt.objects.count()) == ([], 0)
    assert set(ToolCall.objects.values_list("status", flat=True)) == {"queued"}
    race(*workers(ids), partial(thaw_agent, gus, world.cast.support.pk, "it was a test"))
    race(*workers(ids))
    assert world.receiver.effects() == Counter(dict.fromkeys(calls, 1))
    assert set(ToolCall.objects.values_list("status", flat=True)) == {"succeeded"}
    # Frozen and thawed again, with every message once more: nothing is sent again.
    freeze_agent(gus, world.cast.support.pk, "again")
    thaw_agent(gus, world.cast.support.pk, "fine")
    race(*workers(ids))
    assert world.receiver.effects() == Counter(dict.fromkeys(calls, 1))


def test_what_waited_is_sent_once_after_the_thaw_one_by_one(world: World) -> None:
    gus = world.cast.actor("gus")
    calls = waiting(world)
    ids = [UUID(pk) for pk in calls]
    freeze_agent(gus, world.cast.support.pk, "odd refunds")
    for task in filter(None, calls.values()):
        world.decider.post(f"tasks/{task}/approve").ok()
    for act in workers(ids):
        act()
    assert (world.receiver.hits, Attempt.objects.count()) == ([], 0)
    thaw_agent(gus, world.cast.support.pk, "it was a test")
    for _ in range(2):
        for act in workers(ids):
            act()
    assert world.receiver.effects() == Counter(dict.fromkeys(calls, 1))
    assert set(ToolCall.objects.values_list("status", flat=True)) == {"succeeded"}


def test_a_once_call_whose_answer_was_lost_before_the_freeze_is_never_sent_again(
    world: World,
) -> None:
    gus = world.cast.actor("gus")
    world.operation(path="/drop-after-effect/refunds").ok(200)
    call = world.refund(10).ok(201)
    sweep(execute_here=True)
    assert status(world, call) == "unknown"
    freeze_agent(gus, world.cast.support.pk, "odd")
    thaw_agent(gus, world.cast.support.pk, "fine")
    for act in workers([UUID(call["id"])]):
        act()
    assert status(world, call) == "unknown"
    assert world.receiver.effects() == {call["id"]: 1}


def opened(world: World) -> Incident:
    refund(world)
    return Incident.objects.get(status="open")


@on_postgresql
@pytest.mark.parametrize("end", [resolve, dismiss])
def test_closing_and_a_new_hit_at_once_lose_no_hit(shared_world: World, end: Any) -> None:
    """The hit is folded into the case that closes, or opens the next one, linked to it."""
    world, gus = shared_world, shared_world.cast.actor("gus")
    suspicious(world, "alert")
    for _ in range(ROUNDS):
        incident, run = opened(world), world.run()
        before = Incident.objects.count()
        answers = race(partial(end, gus, incident.pk), partial(refund, world, 10, run))
        assert [type(answer).__name__ for answer in answers] == ["Incident", "Answer"]
        incident.refresh_from_db()
        assert incident.status in ("resolved", "dismissed")
        following = list(Incident.objects.filter(previous=incident))
        if Incident.objects.count() == before:
            assert (incident.count, following) == (2, [])
        else:
            assert (incident.count, [each.count for each in following]) == (1, [1])
            resolve(gus, following[0].pk)


@on_postgresql
def test_resolve_beats_an_acknowledge_that_comes_late(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the open incident; the acknowledge writes after the resolve did."""
    world, plain = shared_world, incidents.advance
    gus, admin = world.cast.actor("gus"), world.cast.actor("admin")
    suspicious(world, "alert")
    incident = opened(world)

    def after_the_resolve(rows: Any, moves: Any, to: str, **columns: Any) -> Any:
        if to == "acknowledged":
            monkeypatch.setattr(incidents, "advance", plain)
            (ended,) = race(partial(resolve, gus, incident.pk))
            assert ended.status == "resolved"
        return plain(rows, moves, to, **columns)

    monkeypatch.setattr(incidents, "advance", after_the_resolve)
    with pytest.raises(Conflict) as refusal:
        acknowledge(admin, incident.pk)
    assert refusal.value.code == "already_closed"
    assert Incident.objects.get().status == "resolved"


@on_postgresql
def test_resolve_wins_over_acknowledge_whichever_is_first(shared_world: World) -> None:
    world = shared_world
    gus, admin = world.cast.actor("gus"), world.cast.actor("admin")
    suspicious(world, "alert")
    for _ in range(ROUNDS):
        incident = opened(world)
        acts = [partial(resolve, gus, incident.pk)]
        acts += [partial(acknowledge, admin, incident.pk) for _ in range(3)]
        ended, *late = race(*acts)
        assert isinstance(ended, Incident)
        assert {getattr(each, "code", "done") for each in late} <= {
            "done",
            "already_acknowledged",
            "already_closed",
        }
        assert sum(isinstance(each, Incident) for each in late) <= 1
        incident.refresh_from_db()
        assert (incident.status, incident.closed_by["name"]) == ("resolved", "gus")
