"""Which tasks an actor may know of, and which of them they may see in full (promise 11)."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Self

from django.apps import apps
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts_app.constants import Constant
from accounts_app.scoping import Actor, WorkspaceQuerySet
from accounts_app.states import ActorType, Permission
from tasks_app.states import ANOMALIES, Kind, TaskStatus

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
        return self.filter(status=Constant(TaskStatus.PENDING.value))

    def of_kinds(self, kinds: Iterable[Kind]) -> Self:
        return self.filter(_is_one_of(kinds))


class TallyQuerySet(WorkspaceQuerySet[Any]):
    """Counts of tasks of one sort; an actor sees those of which they may see every task."""

    agent_path = "agent"

    def visible_to(self, actor: Actor) -> Self:
        rows = super().visible_to(actor)
        return rows.filter(of_open_sorts(actor)) if actor.type == ActorType.USER else rows


def sees_every_task(actor: Actor) -> bool:
    everything = (Permission.SEE_ALL_TASKS, Permission.SEE_SUMMARIES, Permission.SEE_MASKED)
    return actor.type != ActorType.USER or any(actor.can(each) for each in everything)


def sees_sorts_of_tasks(actor: Actor) -> bool:
    """Whether an actor's roles show them any tasks but those for them as a person."""
    some = (Permission.SEE_OWN_QUEUE, Permission.SEE_ANOMALIES)
    return sees_every_task(actor) or any(actor.can(each) for each in some)


def of_open_sorts(actor: Actor) -> Q:
    """The sorts of tasks that an actor sees, whoever the single task names.

    Beyond them they see what names them, and what they take part in: `seen_as_a_person`.
    """
    if sees_every_task(actor):
        return Q()
    seen = Q(pk__in=[])
    if actor.can(Permission.SEE_OWN_QUEUE):
        seen |= ~_is_one_of(ANOMALIES) & _open_to_all(actor)
    if actor.can(Permission.SEE_ANOMALIES):
        seen |= _is_one_of(ANOMALIES)
    return seen


def seen_as_a_person(actor: Actor) -> tuple[Q, ...]:
    """The tasks that an actor may see for who they are, whatever their sort; some come twice."""
    if sees_every_task(actor):
        return ()
    return Q(pk__in=_naming(actor)), _of_participant(actor)


def _is_one_of(kinds: Iterable[Kind]) -> Q:
    return Q(kind__in=[Constant(kind) for kind in sorted(kind.value for kind in kinds)])


def _seen_by(actor: Actor) -> Q:
    if sees_every_task(actor):
        return Q()
    seen = _of_participant(actor)
    if actor.can(Permission.SEE_OWN_QUEUE):
        seen |= _queue_of(actor)
    if actor.can(Permission.SEE_ANOMALIES):
        seen |= _is_one_of(ANOMALIES)
    return seen


def _queue_of(actor: Actor) -> Q:
    """An operator's queue: no anomalies; what names nobody, of the agents that they are limited
    to; and what names them or one of their groups."""
    return ~_is_one_of(ANOMALIES) & (_open_to_all(actor) | Q(pk__in=_naming(actor)))


def _open_to_all(actor: Actor) -> Q:
    """What names nobody, of the agents that an operator is limited to."""
    if actor.limited_to is None:
        return Q(named=False)
    return Q(named=False, agent__in=actor.limited_to)


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
