"""Which tasks an actor may know of, and which of them they may see in full (promise 11)."""

import datetime as dt
from typing import Any, Self

from django.apps import apps
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts_app.scoping import Actor, WorkspaceQuerySet
from accounts_app.states import ActorType, Permission
from tasks_app.states import ANOMALIES, TaskStatus

NEVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
DUE_OR_NEVER = Coalesce("due_at", Value(NEVER))
"""What the deadline's order sorts by; the index `task_by_deadline` holds the same expression."""


class TaskQuerySet(WorkspaceQuerySet[Any]):
    """Tasks; `visible_to` stands between them and every list, count, page and search."""

    agent_path = "agent"

    def visible_to(self, actor: Actor) -> Self:
        rows = super().visible_to(actor)
        if actor.type != ActorType.USER:
            return rows
        return rows.filter(_seen_by(actor))

    def pending(self) -> Self:
        return self.filter(status=TaskStatus.PENDING)


def _seen_by(actor: Actor) -> Q:
    everything = (Permission.SEE_ALL_TASKS, Permission.SEE_SUMMARIES, Permission.SEE_MASKED)
    if any(actor.can(permission) for permission in everything):
        return Q()
    seen = _of_participant(actor)
    if actor.can(Permission.SEE_OWN_QUEUE):
        seen |= _queue_of(actor)
    if actor.can(Permission.SEE_ANOMALIES):
        seen |= Q(kind__in=ANOMALIES)
    return seen


def _queue_of(actor: Actor) -> Q:
    """An operator's queue: no anomalies; what names nobody, of the agents that they are limited
    to; and what names them or one of their groups."""
    open_to_all = Q(named=False)
    if actor.limited_to is not None:
        open_to_all &= Q(agent__in=actor.limited_to)
    return ~Q(kind__in=ANOMALIES) & (open_to_all | Q(pk__in=_naming(actor)))


def _naming(actor: Actor) -> QuerySet[Any]:
    """The ids of the tasks that name this person; what an escalation adds counts from then on."""
    # The model names this module's queryset as its manager, so it cannot be imported here.
    rows = apps.get_model("tasks_app", "Reviewer")._default_manager.filter(
        Q(user=actor.user_id) | Q(group__in=actor.groups),
        workspace=actor.workspace_id,
        level__lte=F("task__escalation_level"),
    )
    return rows.values("task")


def _of_participant(actor: Actor) -> Q:
    mine = Q(pk__in=[])
    for identity in actor.identities:
        mine |= Q(participant__iexact=identity)
    return mine
