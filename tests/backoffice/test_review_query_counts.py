"""How many queries each page of the review takes, however many tasks wait: a baseline."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts_app.clock import db_now
from accounts_app.models import new_id
from tasks_app.models import UserTask
from tests.backoffice.test_approvals import ask, decide, refund, signed_in
from tests.conftest import World

# Page, and how many queries it may take for an operator; the frame's are among them.
BASELINES = {
    "review/approvals/": 21,
    "review/approvals/?tab=completed": 20,
    "review/approvals/?q=charge&agent=support&sort=due": 23,
    "review/states/?ids={task}": 11,
    "review/tasks/{task}/": 28,
    "review/tasks/{task}/card/": 17,
    "review/runs/{run}/?task={task}": 27,
    "review/calls/{call}/": 20,
    "review/sessions/{session}/": 16,
    "sessions/": 15,
    "dashboard/": 20,
}


def many_more(task: UserTask, number: int) -> None:
    """Copies of a task, as rows: its call, session and run are shared."""
    now = db_now()
    rows = []
    for index in range(number):
        copy = UserTask(
            **{field.attname: getattr(task, field.attname) for field in task._meta.fields}
        )
        copy.pk, copy.tool_call_id, copy.about = new_id(), None, "nothing"
        copy.created_at = now + dt.timedelta(seconds=index)
        rows.append(copy)
    UserTask.objects.bulk_create(rows, batch_size=500)


def queries(client: Client, path: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        answer = client.get(f"/admin/{path}")
    assert answer.status_code == 200, path
    return [query["sql"] for query in seen.captured_queries]


def paths(task: UserTask) -> dict[str, Any]:
    ids = {"run": task.run_id, "call": task.tool_call_id, "session": task.session_id}
    return {path: path.format(task=task.pk, **ids) for path in BASELINES}


@pytest.fixture
def busy(world: World) -> UserTask:
    for amount in (201, 202):
        decide(signed_in("abe"), refund(world, amount))
    task = refund(world)
    many_more(ask(world), 300)
    return task


def test_no_page_takes_more_queries_with_many_tasks(world: World, busy: UserTask) -> None:
    client = signed_in("ann")
    counts = {}
    for name, path in paths(busy).items():
        queries(client, path)
        counts[name] = len(queries(client, path))
    many_more(busy, 900)
    again = {name: len(queries(client, path)) for name, path in paths(busy).items()}
    assert again == counts
    over = {name: (again[name], BASELINES[name]) for name in again if again[name] > BASELINES[name]}
    assert over == {}


def test_no_page_counts_all_the_tasks(world: World, busy: UserTask) -> None:
    client = signed_in("ann")
    for path in paths(busy).values():
        for sql in queries(client, path):
            counts_tasks = sql.startswith("SELECT COUNT(") and "tasks_app_usertask" in sql
            assert not counts_tasks or "LIMIT" in sql, sql
