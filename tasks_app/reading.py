"""Which sessions, runs and calls a person may open, and how much of them they read."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts_app.scoping import Actor
from accounts_app.states import ActorType, Permission
from guard_app.models import Detection
from integrations_app.models import Run, Session, ToolCall
from tasks_app.models import UserTask
from tasks_app.scoping import of_open_sorts, seen_as_a_person

_EVERYTHING = (Permission.SEE_ALL_TASKS, Permission.SEE_SUMMARIES, Permission.SEE_MASKED)


def readable_sessions(actor: Actor) -> QuerySet[Session]:
    """The sessions that this person may know of."""
    rows: QuerySet[Session] = Session.objects.visible_to(actor)
    hit = "tool_call__run__session"
    return _narrowed(actor, rows, "session", hit=hit, agent="agent", participant="participant")


def readable_runs(actor: Actor) -> QuerySet[Run]:
    """The runs that this person may know of."""
    rows: QuerySet[Run] = Run.objects.visible_to(actor)
    names = {"hit": "tool_call__run", "agent": "agent", "participant": "session__participant"}
    return _narrowed(actor, rows, "run", **names)


def readable_calls(actor: Actor) -> QuerySet[ToolCall]:
    """The calls that this person may know of."""
    rows: QuerySet[ToolCall] = ToolCall.objects.visible_to(actor)
    names = {"hit": "tool_call", "agent": "agent", "participant": "run__session__participant"}
    return _narrowed(actor, rows, "tool_call", **names)


def sees_every_session(actor: Actor) -> bool:
    """Whether this person may know of each session, so that an empty list says there is none."""
    if any(actor.can(permission) for permission in _EVERYTHING):
        return True
    return actor.can(Permission.SEE_OWN_QUEUE) and actor.limited_to is None


def call_states_of(actor: Actor, ids: Iterable[UUID]) -> dict[str, str]:
    """The status of each of these calls that this person may know of."""
    rows = readable_calls(actor).filter(pk__in=list(ids)).values_list("pk", "status")
    return {str(pk): status for pk, status in rows}


def _narrowed(
    actor: Actor, rows: QuerySet[Any], member: str, *, hit: str, agent: str, participant: str
) -> QuerySet[Any]:
    if actor.type != ActorType.USER or sees_every_session(actor):
        return rows
    tasks = UserTask.objects.visible_to(actor).filter(**{member: OuterRef("pk")})
    seen = Q(pk__in=[])
    # One by one, because PostgreSQL finds each by an index, and all at once by none.
    for lot in (of_open_sorts(actor), *seen_as_a_person(actor)):
        seen |= Q(Exists(tasks.filter(lot)))
    if actor.can(Permission.SEE_ANOMALIES):
        # Of what the guard hit there need not be a task: it may be blocked, or one hit of many.
        hits = Detection.objects.visible_to(actor).filter(**{hit: OuterRef("pk")})
        seen |= Q(Exists(hits))
    for identity in actor.identities:
        seen |= Q(**{f"{participant}__iexact": identity})
    if actor.can(Permission.SEE_OWN_QUEUE) and actor.limited_to is not None:
        seen |= Q(**{f"{agent}__in": actor.limited_to})
    return rows.filter(seen)


def reads_run(actor: Actor, run: Run) -> bool:
    """Whether a person reads what was said and sent in a run, and not its outline alone."""
    if actor.can(Permission.SEE_ALL_TASKS):
        return True
    participant = run.session.participant
    if participant and participant.casefold() in actor.identities:
        return True
    limited = actor.limited_to is not None and run.agent_id not in actor.limited_to
    return actor.can(Permission.SEE_OWN_QUEUE) and not limited
