"""Claims: who works on a task now, as a lease that runs out by itself.

A claim keeps colleagues from doing the same work; it takes no right away. Whoever sends the token
of a lease that somebody else took over meanwhile is told so, and decides nothing by accident.
"""

import datetime as dt
import uuid
from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from accounts_app.clock import DbNow
from accounts_app.errors import Conflict, Forbidden
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.states import ActorType
from tasks_app.models import UserTask
from tasks_app.policies import check_may_decide
from tasks_app.services.access import get_task, pending_task
from tasks_app.services.closing import subject_of

register_verbs(
    {
        "task.claimed": "claimed the task",
        "task.taken_over": "took the task over",
        "task.unclaimed": "released the task",
    }
)
LEASE = dt.timedelta(minutes=15)
MAX_TRIED = 50


def claim(actor: Actor, task_id: UUID, *, take_over: bool = False) -> UserTask:
    """Claim a pending task, or renew the claim that one has.

    Args:
        actor: a person who may decide it.
        task_id: the task.
        take_over: also where somebody else has claimed it.

    Raises:
        Forbidden: see `check_may_decide`; an API key claims nothing.
        Conflict: it had its end, or `claimed_by_other` with the facts `by` and `until`.
    """
    _check_person(actor)
    check_may_decide(actor, get_task(actor, task_id))
    with pending_task(actor, task_id) as (unit, task):
        is_held = task.claim_expires_at is not None and task.claim_expires_at > unit.now
        is_mine = is_held and task.claimed_by_id == actor.user_id
        if is_held and not is_mine and not take_over:
            raise _held(task)
        UserTask.objects.pending().filter(pk=task.pk).update(
            claimed_by=actor.user_id,
            claim_token=task.claim_token if is_mine else uuid.uuid4(),
            claim_expires_at=unit.now + LEASE,
            updated_at=unit.now,
        )
        if not is_mine:
            verb = "task.taken_over" if is_held else "task.claimed"
            former = {"from": str(task.claimed_by)} if is_held else {}
            unit.audit(actor, verb, subject_of(task), former)
            unit.wake(task.pk)
    return get_task(actor, task_id)


def release(actor: Actor, task_id: UUID) -> UserTask:
    """Give one's own claim back; where it has run out or moved on, nothing happens.

    Raises:
        Conflict: the task had its end.
    """
    _check_person(actor)
    with pending_task(actor, task_id) as (unit, task):
        mine = UserTask.objects.pending().filter(pk=task.pk, claimed_by=actor.user_id)
        free = {"claimed_by": None, "claim_token": None, "claim_expires_at": None}
        if mine.update(**free, updated_at=unit.now):
            unit.audit(actor, "task.unclaimed", subject_of(task))
            unit.wake(task.pk)
    return get_task(actor, task_id)


def claim_next(actor: Actor, but_not: Iterable[UUID] = ()) -> UserTask | None:
    """Claim the task that has waited longest and nobody works on; of several who ask, each
    gets another. None where nothing is left that this person may decide.
    """
    _check_person(actor)
    free = Q(claim_expires_at__isnull=True) | Q(claim_expires_at__lte=DbNow())
    due = Q(due_at__isnull=True) | Q(due_at__gt=DbNow())
    rows = UserTask.objects.visible_to(actor).pending().filter(free, due).exclude(pk__in=but_not)
    for task_id in rows.order_by("created_at", "pk").values_list("pk", flat=True)[:MAX_TRIED]:
        try:
            return claim(actor, task_id)
        except (Conflict, Forbidden):
            # A colleague was faster, or it is not this person's to decide: try the one after.
            continue
    return None


def check_lease(task: UserTask, token: str) -> None:
    """Refuse whoever holds a lease that moved on.

    Args:
        task: as it is now, in the transaction of the act.
        token: what the page was given with its claim; empty where it had none.

    Raises:
        Conflict: `lease_lost`.
    """
    if token and token != str(task.claim_token or ""):
        who = f" {task.claimed_by} works on it now." if task.claimed_by else ""
        text = f"Your claim on this task has ended.{who} Look again before you decide."
        raise Conflict(text, code="lease_lost", facts={"task": task.pk})


def _held(task: UserTask) -> Conflict:
    assert task.claim_expires_at is not None  # it is held
    until = task.claim_expires_at
    text = f"{task.claimed_by} works on this task until {until:%H:%M:%S} UTC."
    facts = {"by": str(task.claimed_by), "until": until.isoformat()}
    return Conflict(text, code="claimed_by_other", facts=facts)


def _check_person(actor: Actor) -> None:
    if actor.type != ActorType.USER:
        raise Forbidden("Claims are for people in the back office.")
