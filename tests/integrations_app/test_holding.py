"""A restored backup sends nothing until an admin has looked (promise 17)."""

import datetime as dt
import json
from collections.abc import Callable
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from accounts_app.errors import Forbidden, NotFound
from accounts_app.models import AuditEntry
from accounts_app.scoping import system_actor
from accounts_app.services.audit import verify
from accounts_app.services.members import create_member
from integrations_app.models import Delivery, OutboxEvent, ToolCall
from integrations_app.services.execution import execute
from integrations_app.services.holding import (
    held_calls,
    hold_everything,
    release_calls,
    release_deliveries,
)
from integrations_app.services.pruning import prune
from tasks_app.services.sweeping import sweep
from tests.conftest import World
from tests.harness.checker import hits_by_call


def in_flight(world: World) -> dict[str, str]:
    """A call in every state in which it would go on by itself, and a webhook to be told."""
    hook = {"url": f"{world.receiver.url}/ok/hook", "events": ["task.created"], "enabled": True}
    world.admin.put("webhooks/ops", {**hook, "allow_private_network": True}).ok(201)
    run = world.run()
    calls = {
        "waits": world.refund(900, run),
        "queued": world.refund(40, run),
        "claimed": world.refund(41, run),
        "sent": world.refund(42, run),
    }
    now = dt.datetime.now(dt.UTC)
    for name, sent_at in (("claimed", None), ("sent", now)):
        ToolCall.objects.filter(pk=calls[name]["id"]).update(
            status="executing", fence=1, lease_until=now, sent_at=sent_at
        )
    return {name: call.ok(201)["id"] for name, call in calls.items()}


def test_nothing_goes_out_after_a_restore(
    world: World, move_clock: Callable[[float], None]
) -> None:
    calls = in_flight(world)
    done = json.loads(call_command("restored"))
    assert done == {"calls_held": 4, "deliveries_held": 1, "notifications_dropped": 0}
    held = {str(pk) for pk in Delivery.objects.values_list("pk", flat=True)}
    task = world.agent.get(f"tool-calls/{calls['waits']}")["task"]
    world.decider.post(f"tasks/{task}/approve").ok()
    for _ in range(4):
        move_clock(120)
        sweep(execute_here=True)
    for pk in calls.values():
        assert execute(UUID(pk)).status == ""
    assert hits_by_call(world.receiver) == {}
    # Only the question about what may have been sent is news.
    assert [hit.header("webhook-id") in held for hit in world.receiver.hits] == [False]
    statuses = {name: world.agent.get(f"tool-calls/{pk}")["status"] for name, pk in calls.items()}
    # What may have been sent is asked about, as always.
    assert statuses == {
        "waits": "queued",
        "queued": "queued",
        "claimed": "queued",
        "sent": "unknown",
    }
    assert AuditEntry.objects.filter(verb="workspace.restored").count() == 2
    assert list(verify()) == []


def test_an_admin_releases_one_by_one(world: World, move_clock: Callable[[float], None]) -> None:
    calls = in_flight(world)
    hold_everything()
    admin = world.cast.actor("admin")
    assert held_calls(admin).count() == 4
    assert release_calls(admin, [UUID(calls["queued"])]) == 1
    assert release_calls(admin, [UUID(calls["queued"])]) == 0
    sweep(execute_here=True)
    assert set(hits_by_call(world.receiver)) == {calls["queued"]}
    held = set(map(str, Delivery.objects.filter(held=True).values_list("pk", flat=True)))
    assert not held & {hit.header("webhook-id") for hit in world.receiver.hits}
    (entry,) = AuditEntry.objects.filter(verb="call.released")
    assert (entry.actor_name, entry.target_id) == ("admin", calls["queued"])
    assert release_deliveries(admin) == 1
    sweep(execute_here=True)
    assert held <= {hit.header("webhook-id") for hit in world.receiver.hits}


@pytest.mark.parametrize("name", ["ann", "bob", "ida", "aud"])
def test_nobody_else_releases(world: World, name: str) -> None:
    calls = in_flight(world)
    hold_everything()
    with pytest.raises(Forbidden):
        release_calls(world.cast.actor(name), [UUID(calls["queued"])])
    with pytest.raises(Forbidden):
        release_deliveries(world.cast.actor(name))
    assert ToolCall.objects.filter(held=True).count() == 4


def test_a_foreign_call_is_not_there(world: World) -> None:
    calls = in_flight(world)
    hold_everything()
    other = system_actor(world.cast.other.pk)
    create_member(other, username="olga", roles=["workspace_admin"], password="x" * 12)
    with pytest.raises(NotFound):
        release_calls(world.cast.actor("olga"), [UUID(calls["queued"])])


def test_the_command_lists_and_releases_in_an_admins_name(world: World) -> None:
    calls = in_flight(world)
    hold_everything()
    listed = str(call_command("release_held", "--workspace", "demo"))
    assert set(calls.values()) == {line.partition(" ")[0] for line in listed.splitlines()}
    with pytest.raises(CommandError):
        call_command("release_held", "--workspace", "demo", "--by", "cora")
    with pytest.raises(CommandError):
        call_command("release_held", "--workspace", "demo", "--by", "ann")
    done = call_command("release_held", "--workspace", "demo", "--by", "admin", "--deliveries")
    assert json.loads(done) == {"calls": 4, "deliveries": 1}


def test_pruning_keeps_evidence_and_the_chain(
    world: World, move_clock: Callable[[float], None]
) -> None:
    in_flight(world)
    sweep(execute_here=True)
    delivered = Delivery.objects.filter(status="delivered").count()
    assert delivered >= 1
    before = AuditEntry.objects.count(), ToolCall.objects.count()
    assert prune(keep_days=30)["events"] == 0
    move_clock(31 * 86400)
    done = prune(keep_days=30)
    assert done["deliveries"] == delivered
    assert done["events"] >= 1
    assert OutboxEvent.objects.count() == 0
    assert (AuditEntry.objects.count(), ToolCall.objects.count()) == before
    assert list(verify()) == []
    assert prune(keep_days=0) == {"sign_ins": 0}
