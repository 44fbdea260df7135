"""Hours that are counted once they are over: nothing is lost, doubled, or told to others."""

import datetime as dt
import itertools
import random
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from django.utils import timezone

from accounts_app.clock import db_now
from accounts_app.models import Group, Membership, User, new_id
from tasks_app import dashboard, figures
from tasks_app.models import DecidedHour, DecidedMark, Reviewer, UserTask
from tasks_app.services import tallying
from tasks_app.services.sweeping import sweep
from tasks_app.services.tallying import HOUR, hour_of, tally
from tasks_app.states import TaskStatus
from tests.conftest import World

KINDS = ("approval", "text", "aitl_escalation", "anomaly_review", "anomaly_alert")
EVERYBODY = ("admin", "ann", "abe", "bob", "gus", "ida", "aud")
ENDS: tuple[dict[str, Any], ...] = (
    {"status": "completed", "action": "approve"},
    {"status": "completed", "action": "reject"},
    {"status": "completed", "timed_out": True},
    {"status": "cancelled", "cancelled_reason": "withdrawn"},
)


@pytest.fixture
def asked(world: World) -> UserTask:
    """A pending task, of which the decided ones are copies."""
    body = {"run": world.run(), "title": "May I?"}
    return UserTask.objects.get(pk=world.agent.post("tasks", body).ok(201)["id"])


def ended(task: UserTask, at: dt.datetime, **columns: Any) -> UserTask:
    """A copy of a task that had its end at a moment, as it would stand in the table."""
    copy = UserTask(**{field.attname: getattr(task, field.attname) for field in task._meta.fields})
    took = columns.pop("took", 60)
    given = {"status": "completed", "action": "approve", **columns}
    for name, value in given.items():
        setattr(copy, name, value)
    copy.pk, copy.completed_at, copy.created_at = new_id(), at, at - dt.timedelta(seconds=took)
    copy.save(force_insert=True)
    return copy


def of_every_sort(world: World, task: UserTask) -> None:
    """Decided tasks of all kinds and agents, that name people, groups, or nobody."""
    chance, now = random.Random(7), db_now()
    ann, abe = User.objects.get(username="ann"), User.objects.get(username="abe")
    group = Group.objects.create(workspace=world.cast.workspace, created_at=now, name="Risk")
    Membership.objects.get(user=abe).groups.add(group)
    names: tuple[dict[str, Any], ...] = ({}, {"user": ann}, {"user": abe}, {"group": group})
    agents = (world.cast.support.pk, world.cast.research.pk)
    for kind, agent, named, end in itertools.product(KINDS, agents, names, ENDS):
        at = now - dt.timedelta(hours=chance.uniform(0, 24 * 13))
        participant = chance.choice(["", "", "IDA@example.com", "ann"])
        columns = {**end, "kind": kind, "agent_id": agent, "named": bool(named)}
        row = ended(task, at, participant=participant, took=chance.uniform(1, 9000), **columns)
        if named:
            Reviewer.objects.create(
                workspace=row.workspace, created_at=at, task=row, level=0, **named
            )


def shown_to(world: World, name: str) -> dict[str, list[Any]]:
    decided, _ = dashboard.decisions_by_day(world.cast.actor(name), db_now())
    return {day: list(numbers) for day, numbers in decided.rows}


def by_hand(world: World, name: str) -> dict[str, list[int]]:
    """The same from the one rule of what is visible, row by row."""
    counts: dict[str, Counter[str]] = {}
    rows = UserTask.objects.visible_to(world.cast.actor(name)).exclude(status=TaskStatus.PENDING)
    for row in rows:
        day = f"{timezone.localtime(row.completed_at):%d %b}"
        outcome = "cancelled" if row.status == "cancelled" else "timed_out"
        if row.status == "completed" and not row.timed_out:
            outcome = "stopped" if row.action == "reject" else "let_through"
        counts.setdefault(day, Counter())[outcome] += 1
    return {day: [count[each] for each in figures.OUTCOMES] for day, count in counts.items()}


@pytest.mark.parametrize("is_limited", [False, True])
def test_each_counts_what_they_may_see_whether_hours_were_counted_or_not(
    world: World, asked: UserTask, is_limited: bool
) -> None:
    of_every_sort(world, asked)
    if is_limited:
        for name in ("ann", "abe", "gus"):
            Membership.objects.get(user__username=name).limited_to.set([world.cast.research])
    before = {name: shown_to(world, name) for name in EVERYBODY}
    while tally():
        pass
    assert DecidedHour.objects.exists()
    for name in EVERYBODY:
        shown = shown_to(world, name)
        assert shown == before[name], name
        expected = by_hand(world, name)
        assert {day: row for day, row in shown.items() if any(row)} == expected, name
    # What they see differs, or nothing would be shown by this.
    assert len({str(before[name]) for name in EVERYBODY}) >= 5


def test_another_workspace_counts_nothing_of_it(world: World, asked: UserTask) -> None:
    ended(asked, db_now() - 3 * HOUR)
    while tally():
        pass
    cora = Membership.objects.get(user__username="cora")
    assert not DecidedHour.objects.in_workspace(cora.workspace_id).exists()
    assert DecidedHour.objects.in_workspace(world.cast.workspace.pk).count() == 1


def test_an_hour_is_counted_once_and_only_when_it_is_over(
    asked: UserTask, move_clock: Callable[[float], None]
) -> None:
    ended(asked, hour_of(db_now()))
    while tally():
        pass
    assert not DecidedHour.objects.exists()
    move_clock(3600 + tallying.LAG.total_seconds())
    assert tally() > 0
    assert tally() == 0
    assert list(DecidedHour.objects.values_list("let_through", "band_7")) == [(1, 1)]


def test_of_two_sweepers_one_counts_an_hour(asked: UserTask) -> None:
    hour = hour_of(db_now()) - HOUR
    ended(asked, hour)
    DecidedMark.objects.create(workspace=asked.workspace, until=hour)
    assert tallying._count_hour(asked.workspace_id, hour)
    assert not tallying._count_hour(asked.workspace_id, hour), "the other has moved the mark"
    assert DecidedHour.objects.count() == 1


def test_what_fails_half_way_is_counted_the_next_time(
    asked: UserTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = hour_of(db_now()) - HOUR
    ended(asked, hour)
    DecidedMark.objects.create(workspace=asked.workspace, until=hour)

    def fail(*_: object) -> None:
        raise RuntimeError("the machine went")

    with monkeypatch.context() as patched:
        patched.setattr(tallying, "count", fail)
        with pytest.raises(RuntimeError):
            tallying._count_hour(asked.workspace_id, hour)
    assert DecidedMark.objects.get(workspace=asked.workspace).until == hour
    assert tallying._count_hour(asked.workspace_id, hour)
    assert DecidedHour.objects.count() == 1


def test_the_sweep_counts_and_forgets_what_no_page_shows(
    asked: UserTask, move_clock: Callable[[float], None]
) -> None:
    ended(asked, db_now() - 2 * HOUR)
    # The hours in which nothing was decided are passed over.
    done = [sweep(execute_here=True)["hours_counted"] for _ in range(2)]
    assert done == [1, 0]
    assert DecidedHour.objects.count() == 1
    move_clock(17 * 24 * 3600)
    sweep(execute_here=True)
    assert not DecidedHour.objects.exists()


def test_after_a_long_time_so_many_hours_are_counted_at_once(
    asked: UserTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ago in (2, 5, 9):
        ended(asked, db_now() - ago * HOUR)
    monkeypatch.setattr(tallying, "HOURS_AT_ONCE", 2)
    assert [tally(), tally(), tally()] == [2, 1, 0]
    assert DecidedHour.objects.count() == 3


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_the_median_is_a_fifth_beside_the_truth_at_worst(spread: float) -> None:
    chance = random.Random(spread)
    times = [chance.lognormvariate(6, spread) for _ in range(501)]
    counts = Counter[str](f"band_{figures.band_of(time)}" for time in times)
    found = figures.median_seconds(counts)
    assert found is not None
    assert abs(found / median(times) - 1) < 0.25


def test_times_beyond_the_bands_are_counted_too() -> None:
    assert figures.band_of(0) == 0
    assert figures.band_of(10 * 365 * 86_400) == figures.BANDS - 1
    assert figures.median_seconds({}) is None
