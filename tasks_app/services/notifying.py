"""Whom something is told to: written in the transaction that made it true, sent afterwards.

Recipients are those who could decide, by the one function that says so, less whoever did it; and
of them those who are reached and want this kind. When a message goes out, it is asked again who
may see and decide (`telling`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from accounts_app.models import Membership
from accounts_app.scoping import Actor
from accounts_app.services.reviewers import Person
from accounts_app.services.unit import Unit
from accounts_app.states import ActorType, Permission, Role, permissions_of
from guard_app.models import Incident
from tasks_app.models import Comment, Notification, UserTask
from tasks_app.notice_times import Times
from tasks_app.policies import candidates, is_among, names_of
from tasks_app.states import CommentType, Kind, NoticeKind, NoticeTime

NOTIFY = "tasks_app.notify"
Choose = Callable[[list[Person]], list[Person]]


@dataclass(frozen=True, slots=True)
class Recipient:
    """A member who can be reached, and their choices."""

    member_id: UUID
    person: Person
    times: Times


def tell_of_new(unit: Unit, actor: Actor, task: UserTask) -> None:
    """A task was made: those it names, and those who may decide it.

    An alert is left out: its incident is told of.
    """
    if task.kind == Kind.ANOMALY_ALERT:
        return
    found = _reached(task.workspace_id)
    able = candidates(task, [recipient.person for recipient in found])
    theirs = _whose(task, able)
    _write(unit, actor, NoticeKind.MINE, found, theirs, task=task)
    others = [person for person in able if person not in theirs]
    _write(unit, actor, NoticeKind.NEW, found, others, task=task)


def tell_handed(unit: Unit, actor: Actor, task: UserTask, user_id: int | None) -> None:
    """A task was handed to this person: assigned, delegated, or given back."""
    _tell(unit, actor, NoticeKind.MINE, task, lambda able: _only(able, {user_id}))


def tell_of_deadline(unit: Unit, actor: Actor, task: UserTask) -> None:
    """A deadline comes near: those who may decide; after an escalation those whom it added."""
    _tell(unit, actor, NoticeKind.REMINDER, task, lambda able: _of_level(task, able))


def tell_of_escalation(unit: Unit, actor: Actor, task: UserTask) -> None:
    """A task was escalated: those whom this names, and who may decide it."""
    _tell(unit, actor, NoticeKind.ESCALATED, task, lambda able: _of_level(task, able))


def tell_of_answer(unit: Unit, actor: Actor, task: UserTask) -> None:
    """The agent answered: whoever asked last, where they may still decide."""
    asked = Comment.objects.filter(task=task, type=CommentType.QUESTION)
    last = asked.order_by("-created_at", "-pk").first()
    if last is None or last.by.get("type") != ActorType.USER:
        return
    asker = int(last.by["id"])
    _tell(unit, actor, NoticeKind.ANSWERED, task, lambda able: _only(able, {asker}))


def tell_of_time_outs(
    unit: Unit, actor: Actor, tasks: Sequence[UserTask], holders: Mapping[UUID, int | None]
) -> None:
    """Nobody decided in time: those whose tasks it were, and who held one until then.

    Args:
        unit: the transaction.
        actor: Assent itself.
        tasks: of one workspace.
        holders: by the task's id, whose claim the time-out dropped.
    """
    found = _reached(actor.workspace_id)
    people = [recipient.person for recipient in found]
    rows: list[Notification] = []
    for task in tasks if found else ():
        theirs = _whose(task, candidates(task, people), holders[task.pk])
        rows += _rows(unit, actor, NoticeKind.TIMED_OUT, found, theirs, task=task)
    _save(unit, rows)


def tell_of_unroutable(unit: Unit, actor: Actor, task: UserTask) -> None:
    """Nobody is left who may decide: the workspace's admins."""
    found = _reached(task.workspace_id)
    admins = _with(found, Permission.MANAGE_WORKSPACE)
    _write(unit, actor, NoticeKind.UNROUTABLE, found, admins, task=task)


def tell_of_incident(unit: Unit, actor: Actor, incident: Incident) -> None:
    """The guard opened an incident: those who triage."""
    found = _reached(incident.workspace_id)
    analysts = _with(found, Permission.DECIDE_ANOMALIES)
    _write(unit, actor, NoticeKind.INCIDENT, found, analysts, incident=incident)


def _tell(unit: Unit, actor: Actor, kind: NoticeKind, task: UserTask, choose: Choose) -> None:
    found = _reached(task.workspace_id)
    able = candidates(task, [recipient.person for recipient in found])
    _write(unit, actor, kind, found, choose(able), task=task)


def _only(able: Iterable[Person], user_ids: set[int | None]) -> list[Person]:
    return [person for person in able if person.user_id in user_ids]


def _with(found: Iterable[Recipient], permission: Permission) -> list[Person]:
    return [row.person for row in found if permission in row.person.permissions]


def _whose(task: UserTask, able: list[Person], holder: int | None = None) -> list[Person]:
    """Of those who may decide: whom the task names, who holds it, and who it is about."""
    if not able:
        return []
    rows = names_of(task)
    holders = {task.assigned_to_id, holder or task.claimed_by_id} - {None}
    participant = task.participant.casefold()
    return [
        person
        for person in able
        if person.user_id in holders
        or (participant and participant in person.identities)
        or is_among(person, rows)
    ]


def _of_level(task: UserTask, able: list[Person]) -> list[Person]:
    """After an escalation those whom it named, and who were not named before; else all."""
    level = task.escalation_level
    if not level or not able:
        return able
    rows = names_of(task)
    now = [row for row in rows if row.level == level]
    before = [row for row in rows if row.level < level]
    return [person for person in able if is_among(person, now) and not is_among(person, before)]


def _reached(workspace_id: UUID) -> list[Recipient]:
    """The active members of a workspace who have a channel; one query.

    Where mail cannot be sent and nobody gave an address, there are none, and that is all it costs.
    """
    reach = Q(notifications__addresses_sealed__isnull=False)
    if settings.ASSENT_MAIL:
        wants = Q(notifications__isnull=True) | Q(notifications__email__isnull=True)
        reach |= (wants | Q(notifications__email=True)) & ~Q(user__email="")
    rows = Membership.objects.filter(
        reach, workspace_id=workspace_id, is_active=True, user__is_active=True
    )
    found: dict[UUID, Recipient] = {}
    # A member's groups and agents come as rows of their own; that costs less than a query each.
    for row in rows.order_by().values(*_COLUMNS):
        known = found.get(row["pk"]) or _read(row)
        found[row["pk"]] = replace(
            known,
            person=replace(
                known.person,
                groups=known.person.groups | _one(row["groups"]),
                limited_to=known.person.limited_to | _one(row["limited_to"]),
            ),
        )
    return list(found.values())


_COLUMNS = (
    "pk",
    "user_id",
    "user__username",
    "user__email",
    "user__time_zone",
    "roles",
    "groups",
    "limited_to",
    "notifications__times",
    "notifications__quiet_from",
    "notifications__quiet_to",
    "notifications__digest_minutes",
    "notifications__digest_at",
)


def _one(value: UUID | None) -> frozenset[UUID]:
    return frozenset() if value is None else frozenset({value})


def _read(row: dict[str, Any]) -> Recipient:
    names = (row["user__username"], row["user__email"])
    person = Person(
        user_id=row["user_id"],
        identities=frozenset(text.casefold() for text in names if text),
        permissions=permissions_of(frozenset(Role(name) for name in row["roles"])),
        groups=frozenset(),
        limited_to=frozenset(),
    )
    return Recipient(row["pk"], person, _times(row))


def _times(row: dict[str, Any]) -> Times:
    if row["notifications__digest_minutes"] is None:
        return Times(zone=row["user__time_zone"])
    start, end = row["notifications__quiet_from"], row["notifications__quiet_to"]
    return Times(
        zone=row["user__time_zone"],
        times=tuple(row["notifications__times"].items()),
        quiet=None if start is None else (start, end),
        digest_minutes=row["notifications__digest_minutes"],
        digest_at=row["notifications__digest_at"],
    )


def _write(
    unit: Unit,
    actor: Actor,
    kind: NoticeKind,
    found: Iterable[Recipient],
    chosen: Iterable[Person],
    *,
    task: UserTask | None = None,
    incident: Incident | None = None,
) -> None:
    """A row for each who was chosen and wants to know, less whoever did it."""
    _save(unit, _rows(unit, actor, kind, found, chosen, task=task, incident=incident))


def _rows(
    unit: Unit,
    actor: Actor,
    kind: NoticeKind,
    found: Iterable[Recipient],
    chosen: Iterable[Person],
    *,
    task: UserTask | None = None,
    incident: Incident | None = None,
) -> list[Notification]:
    wanted = {person.user_id for person in chosen}
    if actor.type == ActorType.USER:
        wanted.discard(actor.user_id or 0)
    return [
        Notification(
            workspace_id=actor.workspace_id,
            created_at=unit.now,
            member_id=recipient.member_id,
            kind=kind,
            task=task,
            incident=incident,
            due_at=recipient.times.due_at(kind, unit.now),
        )
        for recipient in found
        if recipient.person.user_id in wanted and recipient.times.time_of(kind) != NoticeTime.OFF
    ]


def _save(unit: Unit, rows: Sequence[Notification]) -> None:
    if rows:
        Notification.objects.bulk_create(rows)
    ring_for(unit, rows)


def ring_for(unit: Unit, rows: Iterable[Notification]) -> None:
    """Ask a worker to send what is due at once; the sweep finds the rest."""
    if any(row.due_at <= unit.now for row in rows):
        unit.ring(NOTIFY)
