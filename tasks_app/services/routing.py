"""Who a task is for: named reviewers, an assignee, a delegate; and the flag that nobody is left."""

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NoReturn
from uuid import UUID

from django.db.models import Q

from accounts_app.errors import FieldError, Invalid
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.reviewers import Granted, Person, deciders, people, resolve
from accounts_app.services.unit import Unit
from accounts_app.states import Permission
from tasks_app.models import Reviewer, UserTask
from tasks_app.policies import candidates, check_may_decide, is_excluded
from tasks_app.services.access import get_task, pending_task
from tasks_app.services.claims import FREE
from tasks_app.services.closing import subject_of
from tasks_app.services.notifying import tell_handed, tell_of_unroutable
from tasks_app.states import ANOMALIES

register_verbs(
    {
        "task.assigned": "assigned the task",
        "task.delegated": "delegated the task",
        "task.given_back": "gave the task back",
        "task.unroutable": "nobody is left who may decide",
        "task.routable": "somebody may decide again",
    }
)


ENOUGH = 3
LOOKED_AT = 5000


def name_reviewers(unit: Unit, task: UserTask, levels: Sequence[Granted]) -> None:
    """Write down whom a task names: first its reviewers, then those of each escalation.

    A person or group that several levels name counts from the first of them.
    """
    users, groups = set[int](), set[UUID]()
    rows = []
    for level, granted in enumerate(levels):
        named: list[dict[str, Any]] = [{"user_id": pk} for pk in sorted(granted.users - users)]
        named += [{"group_id": pk} for pk in sorted(granted.groups - groups)]
        users |= granted.users
        groups |= granted.groups
        rows += [_reviewer(unit, task, level, **who) for who in named]
    Reviewer.objects.bulk_create(rows)


def _reviewer(unit: Unit, task: UserTask, level: int, **who: Any) -> Reviewer:
    return Reviewer(
        workspace_id=task.workspace_id, created_at=unit.now, task=task, level=level, **who
    )


def is_unroutable(task: UserTask, members: Sequence[Person]) -> bool:
    """Whether fewer people may decide than must."""
    return len(candidates(task, members)) < (task.quorum or 1)


def misrouted(
    workspace_id: UUID, members: Sequence[Person], limit: int = LOOKED_AT
) -> Iterator[UserTask]:
    """The pending tasks of a workspace whose flag says something else than is true.

    Args:
        workspace_id: of which workspace.
        members: its active members.
        limit: how many tasks are looked at.
    """
    rows = UserTask.objects.pending().filter(_doubtful(members), workspace=workspace_id)
    found = rows.select_related("session", "agent").prefetch_related("reviewer_rows")
    for task in found.order_by("-unroutable", "pk")[:limit]:
        if is_unroutable(task, members) != task.unroutable:
            yield task


def _doubtful(members: Sequence[Person]) -> Q:
    """The tasks that might have nobody, without looking at each.

    Self-review keeps at most two people from a task, who started its session and its participant,
    so that three who may decide everything are enough for all that name nobody.
    """
    doubtful = Q(named=True) | Q(quorum__isnull=False) | Q(unroutable=True)
    for_tasks, for_anomalies = _are_enough(members)
    if not for_tasks:
        doubtful |= ~Q(kind__in=ANOMALIES)
    if not for_anomalies:
        doubtful |= Q(kind__in=ANOMALIES)
    return doubtful


def _are_enough(members: Sequence[Person]) -> tuple[bool, bool]:
    """Whether three may decide every task, and whether three may triage."""
    free = [member for member in deciders(members, None) if not member.limited_to]
    analysts = [each for each in members if Permission.DECIDE_ANOMALIES in each.permissions]
    return len(free) >= ENOUGH, len(analysts) >= ENOUGH


@lru_cache(maxsize=1024)
def _were_enough(workspace_id: UUID, minute: int) -> tuple[bool, bool]:
    return _are_enough(people(workspace_id))


def flag_new(unit: Unit, actor: Actor, task: UserTask) -> None:
    """Flag a task that was just made where too few people may decide it.

    Where there were enough for all that names nobody, this is not asked anew for each task, but
    once a minute: who leaves meanwhile flags what waits by leaving, and the sweep what is left.
    """
    if not task.named and task.quorum is None:
        minute = int(time.monotonic() // 60)
        if _were_enough(task.workspace_id, minute)[task.kind in ANOMALIES]:
            return
    flag_unroutable(unit, actor, task, people(task.workspace_id))


def flag_unroutable(unit: Unit, actor: Actor, task: UserTask, members: Sequence[Person]) -> bool:
    """Set or lift the flag that too few people may decide; returns whether it changed.

    Args:
        unit: the transaction.
        actor: whose act led here.
        task: pending.
        members: the active members of its workspace.
    """
    unroutable = is_unroutable(task, members)
    rows = UserTask.objects.pending().filter(pk=task.pk, unroutable=not unroutable)
    if not rows.update(unroutable=unroutable):
        return False
    task.unroutable = unroutable
    verb = "task.unroutable" if unroutable else "task.routable"
    unit.audit(actor, verb, subject_of(task))
    if unroutable:
        tell_of_unroutable(unit, actor, task)
    unit.wake(task.pk)
    return True


def assign(actor: Actor, task_id: UUID, username: str, comment: str = "") -> UserTask:
    """Assign a pending task to somebody who may decide it, or to somebody else than now.

    A workspace admin names whoever may decide at all; that makes them a reviewer of the task.

    Raises:
        Forbidden: whoever may not decide may not assign; an excluded admin may.
        Conflict: it had its end.
        Invalid: no such member, or one who may not decide it (exclusion first).
    """
    _check_may_assign(actor, get_task(actor, task_id))
    with pending_task(actor, task_id) as (unit, task):
        person = _person(unit, actor, task, username)
        UserTask.objects.filter(pk=task.pk).update(
            assigned_to=person.user_id, delegated_by=None, updated_at=unit.now
        )
        facts = {"to": username, "comment": comment}
        unit.audit(actor, "task.assigned", subject_of(task), facts)
        present = get_task(actor, task_id)
        flag_unroutable(unit, actor, present, people(task.workspace_id))
        tell_handed(unit, actor, present, person.user_id)
        unit.wake(task.pk)
    return get_task(actor, task_id)


def delegate(actor: Actor, task_id: UUID, username: str, comment: str = "") -> UserTask:
    """Hand a pending task to somebody who may decide it; they can give it back.

    Raises:
        Forbidden: see `check_may_decide`.
        Conflict: it had its end.
        Invalid: no such member, themselves, or one who may not decide it (exclusion first).
    """
    check_may_decide(actor, get_task(actor, task_id))
    with pending_task(actor, task_id) as (unit, task):
        person = _person(unit, actor, task, username)
        if person.user_id == actor.user_id:
            _refuse("Delegate to somebody else than yourself.")
        UserTask.objects.filter(pk=task.pk).update(
            assigned_to=person.user_id,
            delegated_by=actor.user_id,
            **FREE,
            updated_at=unit.now,
        )
        facts = {"to": username, "comment": comment}
        unit.audit(actor, "task.delegated", subject_of(task), facts)
        tell_handed(unit, actor, task, person.user_id)
        unit.wake(task.pk)
    return get_task(actor, task_id)


def give_back(actor: Actor, task_id: UUID, comment: str = "") -> UserTask:
    """Give a delegated task back to who delegated it, or take it back.

    Raises:
        Forbidden: see `check_may_decide`.
        Conflict: it had its end.
        Invalid: it was not delegated by or to this person.
    """
    check_may_decide(actor, get_task(actor, task_id))
    with pending_task(actor, task_id) as (unit, task):
        mine = actor.user_id in (task.assigned_to_id, task.delegated_by_id)
        if task.delegated_by_id is None or not mine:
            _refuse("This task was not delegated by you or to you.")
        UserTask.objects.filter(pk=task.pk).update(
            assigned_to=task.delegated_by_id, delegated_by=None, updated_at=unit.now
        )
        unit.audit(actor, "task.given_back", subject_of(task), {"comment": comment})
        tell_handed(unit, actor, task, task.delegated_by_id)
        unit.wake(task.pk)
    return get_task(actor, task_id)


def _check_may_assign(actor: Actor, task: UserTask) -> None:
    if not actor.can(Permission.MANAGE_WORKSPACE):
        check_may_decide(actor, task)


def _person(unit: Unit, actor: Actor, task: UserTask, username: str) -> Person:
    """The member of that name, where they may decide the task."""
    granted = resolve(task.workspace_id, {"users": [username]}, "to")
    person = next(p for p in people(task.workspace_id) if p.is_in(granted))
    if is_excluded(task, person.user_id, person.identities):
        _refuse(f"{username!r} started the session and cannot decide this task.")
    if candidates(task, [person]):
        return person
    may_decide = Permission.DECIDE_TASKS in person.permissions
    if not (actor.can(Permission.MANAGE_WORKSPACE) and may_decide and task.named):
        _refuse(f"{username!r} may not decide this task.")
    here = Q(task=task, user=person.user_id)
    if not Reviewer.objects.filter(here).update(level=task.escalation_level):
        _reviewer(unit, task, task.escalation_level, user_id=person.user_id).save()
    return person


def _refuse(detail: str) -> NoReturn:
    raise Invalid([FieldError("to", "invalid_value", detail)])
