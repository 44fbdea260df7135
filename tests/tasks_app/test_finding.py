"""Finding tasks: text, filters, orders, and exact figures."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import connection

from accounts_app.clock import db_now
from tasks_app.models import UserTask
from tasks_app.scoping import DUE_OR_NEVER
from tasks_app.services.sweeping import sweep
from tests.api_client import Answer, Api
from tests.conftest import World


def ask(world: World, **members: object) -> Answer:
    return world.agent.post("tasks", {"agent": "support", "title": "Ship?", **members}).ok(201)


def found(world: World, query: str) -> list[str]:
    rows = world.decider.get(f"tasks?{query}").ok()["results"]
    return sorted(row["title"] for row in rows)


def test_text_is_found_in_title_description_key_and_participant(world: World) -> None:
    ask(world, title="Straße nach Berlin")
    ask(world, title="B", description="The parcel for BERLIN is late.")
    ask(world, title="C", key="berlin-4711")
    ask(world, title="D", participant="ann@berlin.example")
    ask(world, title="E", participant="ann")
    assert found(world, "q=berlin") == ["B", "C", "D", "Straße nach Berlin"]
    assert found(world, "q=4711") == ["C"]
    assert found(world, "q=100%25") == []
    assert found(world, "q=' or 1=1") == []
    assert found(world, "q=_") == []
    world.decider.get("tasks?q=%00").refused(422, "invalid_value", "q")


def test_a_participant_is_found_whatever_the_case(world: World) -> None:
    ask(world, title="A", participant="Alice@Acme.com")
    ask(world, title="B", participant="bob@acme.com")
    assert found(world, "participant=alice@acme.com") == ["A"]
    assert found(world, "participant=ALICE@ACME.COM") == ["A"]
    assert found(world, "participant=alice") == []


def test_groups_kinds_and_outcomes(world: World) -> None:
    ask(world, title="approval")
    done = ask(world, title="hitl", kind="hitl")
    ask(world, title="text", kind="text")
    ask(world, title="number", kind="number")
    ask(world, title="aitl", kind="aitl_escalation")
    world.decider.post(f"tasks/{done['id']}/reject").ok()
    assert found(world, "group=approvals") == ["approval", "hitl"]
    assert found(world, "group=input") == ["number", "text"]
    assert found(world, "group=aitl") == ["aitl"]
    assert found(world, "group=anomaly") == []
    assert found(world, "kind=text,number&kind=hitl") == ["hitl", "number", "text"]
    assert found(world, "outcome=reject") == ["hitl"]
    assert found(world, "status=pending&group=approvals") == ["approval"]
    assert found(world, "timed_out=false&status=completed") == ["hitl"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("status=open", "invalid_value"),
        ("kind=note", "invalid_value"),
        ("group=all", "invalid_value"),
        ("timed_out=yes", "invalid_value"),
        ("session=1", "invalid_value"),
        ("due_before=soon", "invalid_value"),
        ("ordering=title", "invalid_value"),
        ("limit=0", "invalid_value"),
        ("limit=-1", "invalid_value"),
        ("limit=101", "invalid_value"),
        ("colour=red", "unknown_filter"),
    ],
)
def test_what_cannot_be_asked_for(world: World, query: str, code: str) -> None:
    world.decider.get(f"tasks?{query}").refused(422, code)


def test_ordered_by_deadline_with_the_endless_last(world: World) -> None:
    for title, seconds in (("B", 200), ("A", 100), ("D", None), ("C", 300)):
        ask(world, title=title, timeout_seconds=seconds)
    pages, address = [], "tasks?ordering=due_at&limit=1"
    while address:
        page = world.decider.get(address).ok()
        pages += [row["title"] for row in page["results"]]
        address = page["next"]
    assert pages == ["A", "B", "C", "D"]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="trigrams are PostgreSQL's")
def test_an_index_serves_the_search(world: World) -> None:
    ask(world)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
        rows = UserTask.objects.filter(title__icontains="berlin") | UserTask.objects.filter(
            key__icontains="berlin"
        )
        assert "task_search" in rows.order_by().explain()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite binds the far date")
def test_an_index_serves_the_deadline_order_of_tasks_of_every_status(world: World) -> None:
    ask(world)
    rows = UserTask.objects.visible_to(world.cast.actor("admin"))
    rows = rows.annotate(due_or_never=DUE_OR_NEVER).order_by("due_or_never", "pk")
    with connection.cursor() as cursor:
        # Else a handful of rows is read whole and sorted.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        plan = rows[:21].explain()
    assert "task_by_deadline_any_status" in plan
    assert "Sort" not in plan


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite plans each statement")
def test_a_search_is_planned_for_its_word_however_often_it_is_asked(world: World) -> None:
    ask(world, title="Berlin")
    for _ in range(12):
        assert found(world, "q=berlin") == ["Berlin"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(generic_plans), sum(custom_plans) > 5 FROM pg_prepared_statements"
            ' WHERE statement LIKE \'%UPPER("tasks_app_usertask"."title"%\''
        )
        assert cursor.fetchone() == (0, True)


def day(offset: int) -> str:
    return (db_now().date() + dt.timedelta(days=offset)).isoformat()


def stats(world: World, **query: str) -> Answer:
    given = {"from": day(0), "to": day(1), **query}
    return world.decider.get("tasks/stats?" + "&".join(f"{k}={v}" for k, v in given.items()))


def test_figures_are_exact(world: World, move_clock: Callable[[float], None]) -> None:
    run = world.run()
    timed = [{"timeout_seconds": 60}] * 2
    tasks = [
        world.agent.post("tasks", {"run": run, "title": "T", **members}).ok(201)
        for members in [{}] * 8 + timed
    ]
    for number, task in enumerate(tasks[:4]):
        if number:
            UserTask.objects.filter(pk=task["id"]).update(
                created_at=db_now() - dt.timedelta(seconds=[0, 10, 20, 60][number])
            )
        world.decider.post(f"tasks/{task['id']}/approve").ok()
    world.agent.post(f"tasks/{tasks[4]['id']}/cancel").ok()
    move_clock(61)
    sweep(execute_here=False)
    shown = stats(world, **{"from": day(-1)}).ok()
    figures = {name: shown[name] for name in ("pending", "completed", "timed_out", "cancelled")}
    assert figures == {"pending": 3, "completed": 4, "timed_out": 2, "cancelled": 1}
    assert shown["total"] == 10
    assert 14 < shown["median_seconds_to_decision"] < 17


def test_the_end_is_exclusive_and_filters_hold(world: World) -> None:
    ask(world, participant="Ann")
    world.agent.post("tasks", {"agent": "research", "title": "R"}).ok(201)
    assert stats(world).ok()["total"] == 2
    assert stats(world, agent="research").ok()["total"] == 1
    assert stats(world, participant="ANN").ok()["total"] == 1
    assert stats(world, **{"from": day(1), "to": day(1)}).ok()["total"] == 0
    assert stats(world, **{"from": day(-1), "to": day(0)}).ok().json == {
        "pending": 0,
        "completed": 0,
        "timed_out": 0,
        "cancelled": 0,
        "total": 0,
        "median_seconds_to_decision": None,
    }
    moment = (db_now() + dt.timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    assert stats(world, to=moment).ok()["total"] == 2
    foreign = Api(world.cast.key("read", name="foreign", workspace=world.cast.other))
    assert foreign.get(f"tasks/stats?from={day(0)}&to={day(1)}").ok()["total"] == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "required"),
        ("from=2026-01-01", "required"),
        ("to=2026-01-01", "required"),
        ("from=2026-01-02&to=2026-01-01", "invalid_value"),
        ("from=yesterday&to=2026-01-01", "invalid_value"),
        ("from=2026-01-01&to=2026-13-01", "invalid_value"),
        ("from=2026-01-01&to=2026-01-02&kind=text", "unknown_filter"),
        ("from=2026-01-01&to=2026-01-02&agent=%00", "invalid_value"),
    ],
)
def test_figures_need_a_time(world: World, query: str, code: str) -> None:
    world.decider.get(f"tasks/stats?{query}").refused(422, code)


def test_figures_need_a_scope_for_reading(world: World) -> None:
    admin = Api(world.cast.key("admin", name="admin only"))
    refusal = admin.get(f"tasks/stats?from={day(0)}&to={day(1)}")
    refusal.refused(403, "insufficient_scope")
