"""What sweeps did, what a restored backup holds back, and the guard's records."""

from typing import Any

import pytest

from accounts_app.models import AuditEntry, Heartbeat
from guard_app.models import Detection
from integrations_app.models import ToolCall
from integrations_app.services.execution import execute
from integrations_app.services.holding import hold_everything
from tasks_app.models import SweepRun
from tasks_app.services.sweeping import sweep
from tests.backoffice.people import signed_in
from tests.conftest import Cast, World


def html(username: str, path: str) -> str:
    answer = signed_in(username).get(f"/admin/{path}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_says_when_a_sweep_ran_what_it_moved_and_what_it_could_not(
    world: World,
) -> None:
    assert "The scheduler has never been seen" in html("admin", "health/")
    world.refund(1).ok(201)
    sweep(execute_here=True)
    row = SweepRun.objects.get()
    row.done = {**row.done, "failed": 3}
    row.save(update_fields=["done"])
    said = html("aud", "health/")
    assert "calls executed: 1" in said
    assert "3 not handled" in said
    assert row.host in said
    assert "never been seen" not in said
    assert ">Late<" not in said


def test_a_heartbeat_that_stopped_is_called_late(world: World, move_clock: Any) -> None:
    sweep(execute_here=True)
    move_clock(300)
    assert Heartbeat.objects.exists()
    assert ">Late<" in html("admin", "health/")


def held_world(world: World) -> list[ToolCall]:
    world.refund(1).ok(201)
    world.refund(2).ok(201)
    hold_everything()
    return list(ToolCall.objects.order_by("created_at"))


def test_an_admin_releases_held_calls_one_by_one(world: World) -> None:
    first, second = held_world(world)
    page = html("admin", "held/")
    assert str(first.pk) in page
    assert "charge: ch_1 · amount: 2" in page, "calls of one operation are told apart"
    assert execute(first.pk).status == ""
    release = signed_in("admin").post("/admin/held/", {"what": "calls", "call": [str(first.pk)]})
    assert release.headers["Location"] == "/admin/held/"
    assert execute(first.pk).status == "succeeded"
    assert execute(second.pk).status == ""
    assert AuditEntry.objects.get(verb="call.released").target_id == str(first.pk)
    assert str(first.pk) not in html("admin", "held/")


@pytest.mark.parametrize("call", [[], ["x"], ["01a20000-0000-7000-8000-000000000000"]])
def test_nothing_ticked_or_no_call_releases_nothing(world: World, call: list[str]) -> None:
    held_world(world)
    signed_in("admin").post("/admin/held/", {"what": "calls", "call": call})
    assert ToolCall.objects.filter(held=True).count() == 2


@pytest.mark.parametrize("username", ["ann", "bob", "gus", "ida", "aud", "cora"])
def test_nobody_else_releases_anything(world: World, username: str) -> None:
    first, _ = held_world(world)
    form = {"what": "calls", "call": [str(first.pk)]}
    assert signed_in(username).post("/admin/held/", form).status_code == 403
    assert ToolCall.objects.filter(held=True).count() == 2


def test_deliveries_are_released_together(world: World) -> None:
    hook = {"url": f"{world.receiver.url}/ok/hook", "events": ["task.created"], "enabled": True}
    world.admin.put("webhooks/ops", {**hook, "allow_private_network": True}).ok(201)
    world.refund(900).ok(201)
    hold_everything()
    assert "1 webhook delivery on hold" in html("admin", "held/")
    signed_in("admin").post("/admin/held/", {"what": "deliveries"})
    assert "on hold</h2>" not in html("admin", "held/")
    assert AuditEntry.objects.filter(verb="deliveries.released").count() == 1


def test_hits_and_verdicts_stand_in_the_records_without_what_was_sent(world: World) -> None:
    world.rule().ok(201)
    world.refund(65436543).ok(201)
    hit = Detection.objects.get()
    assert "65436543" in hit.explanation + hit.seen
    for path in ("guard_app/detection/", f"guard_app/detection/{hit.pk}/change/"):
        said = html("aud", path)
        assert "Large refunds" in said
        assert "65436543" not in said
    assert "guard_app/detection/" in html("aud", "records/")
    assert signed_in("gus").get("/admin/guard_app/detection/").status_code == 403


def test_the_pages_are_in_the_navigation_of_those_who_may(cast: Cast) -> None:
    assert "/admin/health/" in html("admin", "dashboard/")
    assert "/admin/health/" not in html("ann", "dashboard/")
