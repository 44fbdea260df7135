"""What a replay counts: earlier calls as history, whoever works on it, and the lists behind it."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts_app.clock import db_now
from guard_app.models import Detection, Replay, ReplayHit
from guard_app.services import replays
from guard_app.services.replays import due_replays, preview, run_replay
from guard_app.services.rules import RuleValues
from integrations_app.models import ToolCall
from tasks_app.services.sweeping import sweep
from tests.backoffice.people import signed_in
from tests.conftest import World
from tests.faults.test_kill_points import url_of_the_test_database
from tests.guard_app.test_screening import rule, statuses, sub_run
from tests.harness.zygote import KILLED, Zygote, zygote
from tests.tasks_app.racing import race

DAY = 86_400
LOOKUP = "payments.charge_lookup"
HISTORIES: list[tuple[str, dict[str, Any]]] = [
    ("call_count", {"scope": "run", "limit": 3}),
    ("call_count", {"scope": "session", "limit": 4}),
    ("call_count", {"scope": "agent", "limit": 7}),
    ("call_count", {"scope": "agent", "limit": 2, "window_seconds": 3 * DAY}),
    ("repeated_call", {"limit": 2}),
    ("budget", {"argument": "/amount", "limit": 100, "scope": "run"}),
    ("budget", {"argument": "/amount", "limit": 100, "scope": "session"}),
    ("budget", {"argument": "/amount", "limit": 60, "scope": "participant"}),
    ("budget", {"argument": "/amount", "limit": 60, "scope": "agent"}),
    ("budget", {"argument": "/amount", "limit": 60, "scope": "agent", "window_seconds": 3 * DAY}),
    ("condition", {"when": "counts.run > 3 || counts.same_in_run > 2"}),
    ("failure_burst", {"of": "failed", "limit": 0, "window_seconds": 2 * DAY}),
    ("failure_burst", {"of": "rejected", "limit": 0, "window_seconds": DAY}),
    ("new_value", {"argument": "/charge"}),
    ("new_operation", {}),
    ("chain", {"sources": [LOOKUP], "sinks": ["payments.refund"]}),
]


def record(world: World, move_clock: Callable[[float], None]) -> dt.datetime:
    """Calls over ten days, in runs that go on; gives the moment between the third and the rest."""
    run, other = world.run(participant="eve@x.com"), world.run(participant="sam@x.com")
    child = sub_run(world, run)
    lookup = {"run": child, "operation": LOOKUP, "arguments": {"charge": "ch_0"}}
    world.agent.post("tool-calls", lookup).ok(201)
    statuses(world, 30, 30, run=run)
    waiting = world.refund(120, run).ok(201)
    world.operation("refund", path="/status/500").ok(200)
    statuses(world, 5, run=child)
    sweep(execute_here=True)
    move_clock(4 * DAY)
    world.refund(7, other, arguments={"charge": "ch_2", "amount": 7}).ok(201)
    sweep(execute_here=True)
    move_clock(3 * DAY)
    since = db_now()
    statuses(world, 31, run=run)
    sweep(execute_here=True)
    no = {"comment": "no", "revision": 2}  # the operation changed while it waited
    world.decider.post(f"tasks/{waiting['task']}/reject", no).ok()
    world.operation("refund").ok(200)
    move_clock(3600)
    statuses(world, 30, 30, run=run)
    world.refund(9, other, arguments={"charge": "ch_3", "amount": 9}).ok(201)
    lookup["run"] = other
    world.agent.post("tool-calls", lookup).ok(201)
    sweep(execute_here=True)
    move_clock(DAY)
    statuses(world, 30, 45, run=run)
    return since


def replay(world: World, detector: str, parameters: Any, since: dt.datetime) -> dict[str, Any]:
    """The finished replay of a draft over what was recorded since then."""
    draft = {"detector": detector, "parameters": parameters, "effect": "alert"}
    until = (db_now() + dt.timedelta(days=1)).isoformat()
    body = {"rule": draft, "from": since.isoformat(), "to": until}
    made = world.admin.post("guard/replays", body).ok(202)
    assert run_replay(due_replays(10)[0])
    done: dict[str, Any] = world.agent.get(f"guard/replays/{made['id']}").ok().json
    return done


@pytest.mark.parametrize(("detector", "parameters"), HISTORIES)
def test_earlier_calls_are_the_history_of_a_short_period_and_a_long_one_begins_with_none(
    world: World, move_clock: Callable[[float], None], detector: str, parameters: dict[str, Any]
) -> None:
    rule(world, detector, parameters=parameters, effect="alert")
    since = record(world, move_clock)
    draft = RuleValues("Draft", detector, "alert", parameters)
    assert preview(world.cast.actor("gus"), draft).hits == Detection.objects.count()
    for begin, calls in (
        (since, 7),
        (db_now() - dt.timedelta(days=300), ToolCall.objects.count()),
    ):
        live = set(
            Detection.objects.filter(created_at__gte=begin).values_list("tool_call_id", flat=True)
        )
        done = replay(world, detector, parameters, begin)
        hits = ReplayHit.objects.filter(replay_id=done["id"]).exclude(effect="")
        assert done["calls"] == calls
        assert set(hits.values_list("tool_call_id", flat=True)) == live
        assert live


def links_of(text: str) -> dict[str, int]:
    """The numbers of a replay's page that lead on: the address, and the number."""
    found = re.findall(r'href="(/admin/guard/replays/[^"]+/calls/[^"]+/)">([0-9,]+)</a>', text)
    return {path: int(number.replace(",", "")) for path, number in found}


def calls_listed(client: Any, path: str) -> list[str]:
    """Every call of a list, page by page."""
    listed: list[str] = []
    page = path
    while page:
        text = client.get(page).content.decode()
        table = text.split("<tbody>")[1].split("</tbody>")[0]
        listed += re.findall(r'href="/admin/review/calls/([0-9a-f-]{36})/"', table)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        page = path + older[1].replace("&amp;", "&") if older else ""
    return listed


def test_each_number_leads_to_exactly_its_calls(world: World) -> None:
    run = world.run()
    tasks = [world.refund(200 + number, run).ok(201)["task"] for number in range(12)]
    for number, task in enumerate(tasks):
        verb = "approve" if number % 3 else "reject"
        world.decider.post(f"tasks/{task}/{verb}", {"comment": "seen"}).ok()
    statuses(world, *[1] * 60, run=run)
    draft = {"name": "Odd", "detector": "condition", "effect": "review"}
    draft["parameters"] = {"when": "args.amount < 206.0"}  # type: ignore[assignment]
    period = {"from": "2026-01-01", "to": "2026-12-31"}
    made = world.admin.post("guard/replays", {"rule": draft, **period}).ok(202)
    path, admin = f"/admin/guard/replays/{made['id']}/", signed_in("admin")
    assert links_of(admin.get(path).content.decode()) == {}, "it runs still"
    assert run_replay(due_replays(10)[0])
    numbers = links_of(admin.get(path).content.decode())
    assert {path.split("/")[-2]: number for path, number in numbers.items()} == {
        "hits": 66,
        "approved": 4,
        "rejected": 2,
        "none": 60,
        "missed": 2,
        "review": 66,
    }
    for each, number in numbers.items():
        listed = calls_listed(admin, each)
        assert (len(listed), len(set(listed))) == (number, number), each
        assert f"<strong>{number} calls</strong>" in admin.get(each).content.decode()
    missed = calls_listed(admin, f"{path}calls/missed/")
    amounts = [call.arguments["amount"] for call in ToolCall.objects.filter(pk__in=missed)]
    assert sorted(amounts) == [206, 209]
    assert admin.get(f"{path}calls/nonsense/").status_code == 404


def test_only_calls_that_the_reader_may_open_are_links(world: World) -> None:
    statuses(world, 1, 2, 3)
    draft = {"detector": "condition", "effect": "alert", "parameters": {"when": "true"}}
    period = {"from": "2026-01-01", "to": "2026-12-31"}
    made = world.admin.post("guard/replays", {"rule": draft, **period}).ok(202)
    run_replay(due_replays(10)[0])
    path, gus = f"/admin/guard/replays/{made['id']}/calls/hits/", signed_in("gus")
    assert "<strong>3 calls</strong>" in gus.get(path).content.decode()
    assert calls_listed(gus, path) == []
    rule(world, "condition", parameters={"when": "args.amount == 2"}, effect="alert")
    hit = world.refund(2).ok(201)
    world.admin.post("guard/replays", {"rule": draft, **period}).ok(202)
    run_replay(due_replays(10)[0])
    newest = Replay.objects.order_by("-created_at")[0]
    assert calls_listed(gus, f"/admin/guard/replays/{newest.pk}/calls/hits/") == [hit["id"]]
    assert gus.get(f"/admin/review/calls/{hit['id']}/").status_code == 200


def begun(world: World) -> UUID:
    """A replay that hits three of five recorded calls, and that nobody works on yet."""
    statuses(world, 1, 2, 3, 4, 5)
    draft = {"detector": "condition", "effect": "review"}
    body = {"rule": {**draft, "parameters": {"when": "args.amount > 2"}}}
    made = world.admin.post("guard/replays", {**body, "from": "2026-01-01", "to": "2026-12-31"})
    return UUID(made.ok(202)["id"])


def check_done(replay_id: UUID) -> None:
    row = Replay.objects.get(pk=replay_id)
    assert (row.status, row.calls, row.hits, row.would["review"]) == ("done", 5, 3, 3)
    assert row.decided == {"approved": 0, "rejected": 0, "none": 3}
    kept = list(ReplayHit.objects.filter(replay=row).values_list("tool_call_id", flat=True))
    assert (len(kept), len(set(kept))) == (3, 3)


@pytest.fixture
def workers(shared_world: World) -> Iterator[list[Zygote]]:
    """Worker processes that have everything loaded."""
    with ExitStack() as stack:
        url = url_of_the_test_database()
        yield [stack.enter_context(zygote(url)) for _ in range(3)]


def test_of_several_worker_processes_one_runs_a_replay(
    shared_world: World, workers: list[Zygote]
) -> None:
    replay_id = begun(shared_world)
    for worker in workers:
        worker.begin("replay", str(replay_id))
    assert sorted(worker.end() for worker in workers) == [0, 4, 4]
    check_done(replay_id)


def test_the_replay_of_a_dead_process_is_taken_over_by_one_other_and_finishes(
    shared_world: World, workers: list[Zygote], move_clock: Callable[[float], None]
) -> None:
    replay_id = begun(shared_world)
    dead = workers[0].do("replay", str(replay_id), faults="replay.after_chunk=kill9")
    assert dead == KILLED
    row = Replay.objects.get()
    assert (row.status, row.calls, row.hits, ReplayHit.objects.count()) == ("running", 5, 3, 3)
    assert (due_replays(10), workers[1].do("replay", str(replay_id))) == ([], 4)
    move_clock(61)
    assert due_replays(10) == [replay_id]
    for worker in workers:
        worker.begin("replay", str(replay_id))
    assert sorted(worker.end() for worker in workers) == [0, 4, 4]
    check_done(replay_id)


def test_a_worker_that_was_overtaken_stops_and_leaves_nothing_of_its_own(
    world: World, move_clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    replay_id, outcomes, plain = begun(world), list[bool](), replays._write_down

    def overtaken(*arguments: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(replays, "_write_down", plain)
            move_clock(61)
            outcomes.append(run_replay(replay_id))
        return plain(*arguments)

    monkeypatch.setattr(replays, "_write_down", overtaken)
    assert not run_replay(replay_id)
    assert outcomes == [True]
    check_done(replay_id)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="One writer at a time")
def test_of_many_threads_one_runs_a_replay(shared_world: World) -> None:
    replay_id = begun(shared_world)
    answers = race(*[lambda: run_replay(replay_id)] * 6)
    assert sorted(answers, key=str) == [False] * 5 + [True]
    check_done(replay_id)
