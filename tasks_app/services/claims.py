"""Claims: one person works on a task for fifteen minutes, and others know it.

A claim keeps colleagues from doing the same work and takes no right away; whoever acts under a
lease that somebody else took over meanwhile is told so. It is taken by one conditional update, so
that of many one gets it; every move that ends a task drops it, and the sweep frees what is over.
Renewing is not written to the audit trail: it changes nothing but the time.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts_app.clock import DbNow, db_now
from accounts_app.errors import Conflict, FieldError, Forbidden, Invalid
from accounts_app.models import Membership
from accounts_app.scoping import Actor, system_actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit, unit_of_work
from accounts_app.states import ActorType
from tasks_app.models import UserTask, Vote
from tasks_app.policies import check_may_decide, may_decide
from tasks_app.services.access import get_task
from tasks_app.services.closing import check_open, subject_of
from tasks_app.services.voting import voter_of

register_verbs(
    {
        "task.claimed": "claimed the task",
        "task.unclaimed": "let go of the task",
        "task.taken_over": "took the task over",
        "task.claim_lapsed": "the claim was over",
    }
)
LEASE = dt.timedelta(minutes=15)
LOOKED_AT = 200
FREE = {"claimed_by": None, "claim_token": None, "claim_expires_at": None}
_UNCLAIMED = Q(claimed_by__isnull=True) | Q(claim_expires_at__lte=DbNow())


def claim(actor: Actor, task_id: UUID) -> UserTask:
    """Claim a pending task; whoever holds it already renews it.

    Returns:
        The task; its `claim_token` proves the lease.

    Raises:
        Forbidden: a key, or a person who may not decide it.
        Conflict: it had its end, or `claimed_by_other` with the facts `by` and `until`.
    """
    task = _claimable(actor, task_id)
    with unit_of_work() as unit:
        if not (_prolong(unit, actor, task) or _take(unit, actor, task, _UNCLAIMED)):
            raise _refusal(get_task(actor, task_id), code="claimed_by_other")
    return get_task(actor, task_id)


def release(actor: Actor, task_id: UUID) -> UserTask:
    """Let go of a task; who does not hold it changes nothing.

    Raises:
        NotFound: not visible.
    """
    task = get_task(actor, task_id)
    with unit_of_work() as unit:
        mine = UserTask.objects.pending().filter(pk=task_id, claimed_by=actor.user_id)
        if actor.user_id is not None and mine.update(**FREE):
            unit.audit(actor, "task.unclaimed", subject_of(task))
            unit.wake(task.pk)
    return get_task(actor, task_id)


def take_over(actor: Actor, task_id: UUID, comment: str) -> UserTask:
    """Claim a task that somebody else holds, and say why; one's own is renewed.

    Raises:
        Invalid: `comment_required`.
        Forbidden: a key, or a person who may not decide it.
        Conflict: it had its end.
    """
    task = _claimable(actor, task_id)
    if task.claimed_by_id in (None, actor.user_id):
        return claim(actor, task_id)
    if not comment.strip():
        text = "Say why you take it over; whoever has it will read that."
        raise Invalid([FieldError("note", "comment_required", text)])
    with unit_of_work() as unit:
        holder = str(task.claimed_by) if task.claimed_by else None
        facts = {"comment": comment, "from": holder}
        if not _take(unit, actor, task, Q(), verb="task.taken_over", facts=facts):
            raise _refusal(get_task(actor, task_id), code="claimed_by_other")
    return get_task(actor, task_id)


def next_task(actor: Actor, rows: QuerySet[UserTask] | None = None) -> UserTask | None:
    """Claim the next task that this person may decide; each of many gets another.

    Args:
        actor: a person.
        rows: of which tasks; every visible one when left out.

    Returns:
        The claimed task, nearest deadline first, then oldest; None when there is none.

    Raises:
        Forbidden: a key.
    """
    _check_person(actor)
    ready = UserTask.objects.visible_to(actor).filter(_UNCLAIMED, pk__in=_open().values("pk"))
    ready = ready.filter(Q(assigned_to__isnull=True) | Q(assigned_to=actor.user_id))
    ready = ready.exclude(_voted_by(actor))
    if rows is not None:
        ready = ready.filter(pk__in=rows.order_by().values("pk"))
    ordered = ready.order_by(F("due_at").asc(nulls_last=True), "created_at", "pk")
    for task_id in ordered.values_list("pk", flat=True)[:LOOKED_AT]:
        if may_decide(actor, get_task(actor, task_id)) == "" and _serve(actor, task_id):
            return get_task(actor, task_id)
    return None


def _voted_by(actor: Actor) -> Exists:
    """They voted on the present revision, so nothing is left to them but to wait."""
    mine = Vote.objects.filter(task=OuterRef("pk"), revision=OuterRef("revision"))
    return Exists(mine.filter(voter=voter_of(actor)))


def _serve(actor: Actor, task_id: UUID) -> bool:
    """Claim one task, passing over it where another is at it at this moment."""
    with unit_of_work() as unit:
        rows = UserTask.objects.select_for_update(skip_locked=True, no_key=True)
        task = rows.filter(pk=task_id).first()
        return task is not None and _take(unit, actor, task, _UNCLAIMED)


def check_claim(actor: Actor, task: UserTask, token: UUID | None) -> None:
    """Refuse whoever acts under a lease that somebody else took over.

    Args:
        actor: who acts.
        task: as it is now.
        token: of the lease under which they began; None where they had none.

    Raises:
        Conflict: `lease_lost`, with the facts `by` and `until`.
    """
    if token is None or task.claimed_by_id in (None, actor.user_id):
        return
    if task.claim_expires_at is not None and task.claim_expires_at > db_now():
        raise _refusal(task, code="lease_lost")


def lapsed_claims(limit: int) -> list[UUID]:
    """Claimed tasks whose lease is over, or whose holder left; oldest first."""
    holder = Membership.objects.filter(
        user=OuterRef("claimed_by"),
        workspace=OuterRef("workspace"),
        is_active=True,
        user__is_active=True,
    )
    over = Q(claim_expires_at__lte=DbNow()) | ~Exists(holder)
    rows = UserTask.objects.pending().filter(over, claim_expires_at__isnull=False)
    return list(rows.order_by("claim_expires_at", "pk").values_list("pk", flat=True)[:limit])


def drop_claim(task_id: UUID) -> bool:
    """Put a task whose claim is over back into the queue; drafts and votes stay."""
    task = UserTask.objects.select_related("claimed_by").get(pk=task_id)
    if task.claim_token is None:
        return False
    with unit_of_work() as unit:
        rows = UserTask.objects.pending().filter(
            pk=task_id, claim_token=task.claim_token, claim_expires_at=task.claim_expires_at
        )
        if not rows.update(**FREE):
            return False
        actor = system_actor(task.workspace_id, "claims")
        unit.audit(actor, "task.claim_lapsed", subject_of(task), {"of": str(task.claimed_by)})
        unit.wake(task.pk)
    return True


def _check_person(actor: Actor) -> None:
    if actor.type != ActorType.USER:
        raise Forbidden("Tasks are claimed in the back office only.")


def _claimable(actor: Actor, task_id: UUID) -> UserTask:
    task = get_task(actor, task_id)
    _check_person(actor)
    check_may_decide(actor, task)
    try:
        check_open(task)
    except Conflict as refusal:
        refusal.facts["task"] = task.pk
        raise
    return task


def _open() -> QuerySet[UserTask]:
    return UserTask.objects.pending().filter(Q(due_at__isnull=True) | Q(due_at__gt=DbNow()))


def _prolong(unit: Unit, actor: Actor, task: UserTask) -> bool:
    mine = _open().filter(pk=task.pk, claimed_by=actor.user_id, claim_expires_at__gt=DbNow())
    return bool(mine.update(claim_expires_at=unit.now + LEASE))


def _take(
    unit: Unit,
    actor: Actor,
    task: UserTask,
    free: Q,
    *,
    verb: str = "task.claimed",
    facts: Mapping[str, Any] | None = None,
) -> bool:
    """The one statement that gives a lease; returns whether this act got it."""
    moved = (
        _open()
        .filter(free, pk=task.pk)
        .update(claimed_by=actor.user_id, claim_token=uuid4(), claim_expires_at=unit.now + LEASE)
    )
    if moved:
        unit.audit(actor, verb, subject_of(task), facts)
        unit.wake(task.pk)
    return bool(moved)


def _refusal(task: UserTask, *, code: str) -> Conflict:
    try:
        check_open(task)
    except Conflict as refusal:
        refusal.facts["task"] = task.pk
        return refusal
    by = str(task.claimed_by) if task.claimed_by else None
    until = task.claim_expires_at
    facts = {"task": task.pk, "by": by, "until": until.isoformat() if until else None}
    if code == "lease_lost":
        who = f" {by} works on it now." if by else ""
        text = f"Your claim on this task has ended.{who} Look again before you decide."
    else:
        text = f"{by} works on this task until {until:%H:%M:%S} UTC."
    return Conflict(text, code=code, facts=facts)
