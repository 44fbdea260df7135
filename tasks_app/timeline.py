"""What happened in a run, in order: messages, calls, tasks, decisions, child runs, its end."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts_app.scoping import Actor
from guard_app.models import Detection
from integrations_app.models import Run, ToolCall
from tasks_app.models import Message, UserTask
from tasks_app.states import TaskStatus

LENGTH = 100


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the timeline.

    Args:
        at: when.
        type: opened, message, call, call_end, task, decision, hit, child or ended.
        row: the object.
    """

    at: dt.datetime
    type: str
    row: Any


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the timeline, oldest first, and whether there is something before and after."""

    items: list[Item]
    has_earlier: bool
    has_later: bool


def stretch_of(actor: Actor, run: Run, *, until: dt.datetime | None, now: dt.datetime) -> Stretch:
    """The last 100 things that happened, up to a moment; never a count of all.

    Args:
        actor: who reads; tasks that they may not see are left out.
        run: a readable run.
        until: nothing after that; None for all.
        now: the database's time.
    """
    before = until or now + dt.timedelta(days=1)
    items = [
        *_messages(run, before),
        *_calls(run, before),
        *_tasks(actor, run, before),
        *_children(run, before),
        *_hits(run, before),
    ]
    if run.created_at <= before:
        items.append(Item(run.created_at, "opened", run))
    if run.ended_at and run.ended_at <= before:
        items.append(Item(run.ended_at, "ended", run))
    items.sort(key=lambda item: (item.at, item.type))
    return Stretch(items[-LENGTH:], len(items) > LENGTH, until is not None)


def moment_of(actor: Actor, run: Run, task_id: UUID | None) -> dt.datetime | None:
    """Until when the timeline must go so that a task stands in it; None where it does anyway."""
    if task_id is None:
        return None
    tasks = UserTask.objects.visible_to(actor).filter(run=run, pk=task_id)
    task: UserTask | None = tasks.only("created_at").first()
    if task is None:
        return None
    later = ToolCall.objects.filter(run=run, created_at__gt=task.created_at)
    said = Message.objects.filter(run=run, created_at__gt=task.created_at)
    enough = LENGTH // 4
    if len(later.values("pk")[:enough]) + len(said.values("pk")[:enough]) < enough:
        return None
    return task.created_at


def _messages(run: Run, before: dt.datetime) -> list[Item]:
    rows = Message.objects.filter(run=run, created_at__lte=before).select_related("task")
    rows = rows.order_by("-created_at")[: LENGTH + 1]
    return [Item(row.created_at, "message", row) for row in rows]


def _calls(run: Run, before: dt.datetime) -> list[Item]:
    rows = ToolCall.objects.filter(run=run, created_at__lte=before)
    rows = rows.select_related("operation__integration").order_by("-created_at")[: LENGTH + 1]
    items = []
    for row in rows:
        items.append(Item(row.created_at, "call", row))
        if row.finished_at and row.finished_at <= before:
            items.append(Item(row.finished_at, "call_end", row))
    return items


def _tasks(actor: Actor, run: Run, before: dt.datetime) -> list[Item]:
    rows = UserTask.objects.visible_to(actor).filter(Q(run=run) | Q(asking_run=run))
    rows = rows.filter(created_at__lte=before).select_related("agent", "session")
    items = []
    for row in rows.order_by("-created_at")[: LENGTH + 1]:
        items.append(Item(row.created_at, "task", row))
        if row.status != TaskStatus.PENDING and row.completed_at and row.completed_at <= before:
            items.append(Item(row.completed_at, "decision", row))
    return items


def _children(run: Run, before: dt.datetime) -> list[Item]:
    rows = Run.objects.filter(parent=run, created_at__lte=before).select_related("agent")
    return [
        Item(row.created_at, "child", row) for row in rows.order_by("-created_at")[: LENGTH + 1]
    ]


def _hits(run: Run, before: dt.datetime) -> list[Item]:
    """What the guard's rules found; those that only watch are the guard's own affair."""
    rows = Detection.objects.filter(tool_call__run=run, shadow=False, created_at__lte=before)
    rows = rows.select_related("rule").order_by("-created_at")[: LENGTH + 1]
    return [Item(row.created_at, "hit", row) for row in rows]
