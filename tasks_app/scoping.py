"""Which tasks an actor may know of, and which of them they may see in full (promise 11)."""

from typing import Any, Self

from django.db.models import Q

from accounts_app.scoping import Actor, WorkspaceQuerySet
from accounts_app.states import ActorType, Permission
from tasks_app.states import ANOMALIES, TaskStatus


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
    """An operator's queue: no anomalies, and only the agents that they are limited to."""
    queue = ~Q(kind__in=ANOMALIES)
    if actor.limited_to is not None:
        queue &= Q(agent__in=actor.limited_to)
    return queue


def _of_participant(actor: Actor) -> Q:
    mine = Q(pk__in=[])
    for identity in actor.identities:
        mine |= Q(participant__iexact=identity)
    return mine
