"""A limited operator's queue is read in lots; it is the same queue, row by row."""

import datetime as dt
import itertools
from typing import Any

import pytest

from accounts_app.clock import db_now
from accounts_app.constants import Constant
from accounts_app.models import Agent, Membership, User, new_id
from accounts_app.scoping import Actor
from tasks_app import selectors
from tasks_app.dashboard import alarms, waiting_by_age
from tasks_app.models import Reviewer, UserTask
from tasks_app.reading import readable_sessions
from tasks_app.selectors import Wanted
from tests.conftest import World

KINDS = ("approval", "text", "anomaly_review")


@pytest.fixture
def limited(world: World) -> Actor:
    """Abe, limited to the agent for research, with tasks of every sort around him."""
    body = {"run": world.run(), "title": "May I?"}
    task = UserTask.objects.get(pk=world.agent.post("tasks", body).ok(201)["id"])
    ann, abe = User.objects.get(username="ann"), User.objects.get(username="abe")
    agents = (world.cast.support.pk, world.cast.research.pk)
    now, names, people = db_now(), (None, ann, abe), ("", "ABE@example.com")
    for number, (kind, agent, name, person, is_done) in enumerate(
        itertools.product(KINDS, agents, names, people, (False, True))
    ):
        at = now - dt.timedelta(minutes=number // 2)
        ends = {"status": "completed", "action": "approve", "completed_at": at} if is_done else {}
        row = copy_of(task, kind=kind, agent_id=agent, named=bool(name), participant=person, **ends)
        UserTask.objects.filter(pk=row.pk).update(created_at=at, due_at=at)
        if name:
            Reviewer.objects.create(
                workspace=row.workspace, created_at=at, task=row, level=0, user=name
            )
    Membership.objects.get(user=abe).limited_to.set([world.cast.research])
    return world.cast.actor("abe")


def copy_of(task: UserTask, **columns: Any) -> UserTask:
    copy = UserTask(**{field.attname: getattr(task, field.attname) for field in task._meta.fields})
    for name, value in columns.items():
        setattr(copy, name, value)
    copy.pk = new_id()
    copy.save(force_insert=True)
    return copy


def read_through(actor: Actor, wanted: Wanted) -> list[Any]:
    """The whole queue, a few at a time."""
    found: list[Any] = []
    after = None
    while True:
        rows = selectors.queue(actor, wanted, db_now())
        tasks, more = selectors.page_of(actor, rows, wanted.sort, after, 3)
        found += [task.pk for task in tasks]
        if not more:
            return found
        column = {"decided": "completed_at", "due": "due_at"}.get(wanted.sort, "created_at")
        after = getattr(tasks[-1], column), tasks[-1].pk


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        (Wanted(), ("created_at", "pk")),
        (Wanted(sort="newest"), ("-created_at", "-pk")),
        (Wanted(sort="due"), ("due_at", "pk")),
        (Wanted(tab="completed", sort="decided"), ("-completed_at", "-pk")),
        (Wanted(agent="support"), ("created_at", "pk")),
        (Wanted(group="approvals"), ("created_at", "pk")),
    ],
)
def test_page_by_page_it_is_what_is_visible_in_the_same_order(
    limited: Actor, wanted: Wanted, order: tuple[str, str]
) -> None:
    rows = selectors.queue(limited, wanted, db_now())
    expected = list(rows.order_by(*order).values_list("pk", flat=True))
    assert len(expected) > 3
    assert read_through(limited, wanted) == expected


def test_its_counts_are_of_the_same_rows(limited: Actor) -> None:
    pending = UserTask.objects.visible_to(limited).pending()
    assert len(selectors.lots_of(limited, pending)) == 3
    number = pending.count()
    assert selectors.pending_count(limited) == number
    assert selectors.capped_count(limited, pending, 2) == 2
    counts, more = selectors.counts_by_group(limited, pending)
    assert (counts[""], more) == (number, False)
    assert alarms(limited, db_now())[0].count == number
    waiting = waiting_by_age(limited, db_now())
    assert sum(figure or 0 for _, figures in waiting.rows for figure in figures) == number


def test_the_agents_and_sessions_are_of_the_same_rows(limited: Actor) -> None:
    named = UserTask.objects.visible_to(limited).pending()
    slugs = set(Agent.objects.filter(tasks__in=named.filter(named=True)).values_list("slug"))
    found = {(agent.slug,) for agent in selectors.agents_to_filter_by(limited)}
    assert found == slugs | {("research",)}
    sessions = set(UserTask.objects.visible_to(limited).values_list("session", flat=True))
    assert sessions <= set(readable_sessions(limited).values_list("pk", flat=True))


def test_who_is_not_limited_reads_it_at_once(limited: Actor, world: World) -> None:
    for name in ("admin", "ann", "gus", "bob"):
        rows = UserTask.objects.visible_to(world.cast.actor(name))
        assert len(selectors.lots_of(world.cast.actor(name), rows)) == 1


@pytest.mark.parametrize("text", ["pending'", "pend ing", "", "pénding", "a;b", "1"])
def test_nothing_but_a_name_of_ours_is_written_into_a_statement(text: str, db: None) -> None:
    with pytest.raises(ValueError, match="is no name of ours"):
        UserTask.objects.filter(status=Constant(text)).exists()
