"""Sends notifications: at least once, one member at a time, many things in one message.

Whoever tells a member holds their lane. A claim counts the attempt and moves the rows behind its
lease before anything is sent, so that a worker that dies in between leads to a second copy, with
the same `Message-ID`, never to silence. Before sending it is asked again what is still so: who
may see and decide, and whether it still waits. After a message the member rests, a minute at first
and up to eight while more keeps coming, and what comes meanwhile is one message.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPSenderRefused
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import F, Q, QuerySet

from accounts_app.clock import DbNow, db_now
from accounts_app.crypto import Unreadable
from accounts_app.errors import Forbidden
from accounts_app.faults import fault
from accounts_app.models import Membership
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.members import member_actor
from accounts_app.services.unit import unit_of_work
from accounts_app.states import Permission
from guard_app.models import Incident
from guard_app.states import IncidentStatus
from integrations_app.messengers import say
from tasks_app.models import Notification, NotificationSettings, UserTask
from tasks_app.notices import Notice, compose
from tasks_app.policies import may_decide
from tasks_app.selectors import with_everything
from tasks_app.services.notification_settings import EMAIL, channels_of, open_addresses, times_of
from tasks_app.states import NOTICE_MOVES, NoticeKind, NoticeStatus, NoticeTime, TaskStatus

LEASE = dt.timedelta(seconds=300)
"""Longer than a turn with a member can take: mail and three addresses, each with its time-outs."""

PAUSES = (30.0, 120.0, 600.0, 3600.0, 4 * 3600.0)
MAX_ATTEMPTS = len(PAUSES) + 1
FIRST_REST, LONGEST_REST = 60, 480
AT_ONCE = 500
MEMBERS_IN_A_TURN = 100


IN_WORDS = {
    "address_refused": "its address is not allowed here",
    "not_resolved": "the name of its host is not known",
    "connect_failed": "no connection",
    "tls_failed": "no secure connection",
    "timed_out": "no answer in time",
    "dropped": "the connection ended",
}
"""Why a messenger was not reached, for the member who reads it."""


@dataclass(slots=True)
class Told:
    """What became of one channel: nothing to say, or why it failed, and whether for good."""

    error: str = ""
    permanent: bool = False


@dataclass(slots=True)
class _Turn:
    """What is told to one member now, and by which channels."""

    lane: NotificationSettings
    claim: UUID
    rows: list[Notification]
    left: dict[UUID, list[str]] = field(default_factory=dict)
    errors: dict[UUID, dict[str, Told]] = field(default_factory=dict)


def due_members(limit: int) -> list[UUID]:
    """Members with something to be told whom nobody is telling, the longest overdue first."""
    found = _due().order_by("due_at").values_list("member_id", flat=True)[: limit * 20]
    return list(dict.fromkeys(found))[:limit]


def tell_due() -> int:
    """Tell everybody who is due, as far as this process comes; returns how many were told."""
    return sum(tell(member_id) for member_id in due_members(MEMBERS_IN_A_TURN))


def tell(member_id: UUID) -> int:
    """Tell one member what is due; harmless however often it is asked for.

    Returns:
        1 where a message went out on some channel, else 0.
    """
    lane = _take_lane(member_id)
    if lane is None:
        return 0
    said = False
    try:
        turn = _claim(lane)
        if turn is not None:
            said = _send(turn)
            fault("notice.after_send")
            _record(turn)
    finally:
        _free(lane, rest=said)
    return int(said)


def _due() -> QuerySet[Notification]:
    """What is due to members whose lane is free; who rests is told of tests only."""
    free = Q(member__notifications__lane_until__isnull=True)
    free |= Q(member__notifications__lane_until__lte=DbNow())
    rested = Q(member__notifications__rests_until__isnull=True)
    rested |= Q(member__notifications__rests_until__lte=DbNow())
    rows = Notification.objects.filter(status=NoticeStatus.PENDING, due_at__lte=DbNow())
    return rows.filter(free, rested | Q(kind=NoticeKind.TEST))


def _take_lane(member_id: UUID) -> NotificationSettings | None:
    member = Membership.objects.get(pk=member_id)
    NotificationSettings.objects.get_or_create(
        member=member, defaults={"workspace_id": member.workspace_id, "created_at": db_now()}
    )
    token = uuid.uuid4()
    free = NotificationSettings.objects.filter(member=member).filter(
        Q(lane_until__isnull=True) | Q(lane_until__lte=DbNow())
    )
    if not free.update(lane_token=token, lane_until=db_now() + LEASE):
        return None
    mine = NotificationSettings.objects.filter(member=member, lane_token=token)
    return mine.select_related("member__user", "member__workspace").first()


def _free(lane: NotificationSettings, *, rest: bool) -> None:
    now = db_now()
    more: dict[str, Any] = {}
    if rest:
        seconds, until = lane.rest_seconds, lane.rests_until
        busy = until is not None and (now - until).total_seconds() < seconds
        seconds = min(2 * seconds, LONGEST_REST) if busy else FIRST_REST
        more = {"rest_seconds": seconds, "rests_until": now + dt.timedelta(seconds=seconds)}
    NotificationSettings.objects.filter(pk=lane.pk, lane_token=lane.lane_token).update(
        lane_token=None, lane_until=None, **more
    )


def _claim(lane: NotificationSettings) -> _Turn | None:
    """Count the attempt at everything that is due, before it is made."""
    with unit_of_work() as unit:
        due = Notification.objects.filter(
            member=lane.member_id,
            status=NoticeStatus.PENDING,
            due_at__lte=unit.now,
            attempts__lt=MAX_ATTEMPTS,
        )
        ordinary = due.exclude(kind=NoticeKind.TEST)
        until = times_of(lane).after_quiet(unit.now)
        if until > unit.now:
            ordinary.update(due_at=until)
        if until > unit.now or (lane.rests_until and lane.rests_until > unit.now):
            due = due.filter(kind=NoticeKind.TEST)
        ids = list(due.order_by("created_at", "pk").values_list("pk", flat=True)[:AT_ONCE])
        claim = uuid.uuid4()
        mine = Notification.objects.filter(pk__in=ids, status=NoticeStatus.PENDING)
        if not ids or not mine.update(
            attempts=F("attempts") + 1, claim=claim, due_at=unit.now + LEASE
        ):
            return None
    rows = Notification.objects.filter(claim=claim).select_related(
        "incident__rule", "incident__agent"
    )
    return _Turn(lane, claim, list(rows.order_by("created_at", "pk")))


def _send(turn: _Turn) -> bool:
    """Send one message on each channel that has still to be told; whether any went out."""
    present = channels_of(turn.lane)
    true_still = _still_true(turn)
    for row in turn.rows:
        wanted = present if row.channels is None else [c for c in row.channels if c in present]
        turn.left[row.pk] = list(wanted) if row.pk in true_still else []
        turn.errors[row.pk] = {}
    secrets = _secrets(turn.lane)
    said = False
    for channel in present:
        rows = [row for row in turn.rows if channel in turn.left[row.pk]]
        if not rows:
            continue
        told = _tell(turn.lane, channel, secrets, compose(turn.lane.workspace, rows))
        said = said or (not told.error and any(row.kind != NoticeKind.TEST for row in rows))
        for row in rows:
            if told.error:
                turn.errors[row.pk][channel] = told
            else:
                turn.left[row.pk].remove(channel)
                row.channels = turn.left[row.pk]
    return said


def _secrets(lane: NotificationSettings) -> dict[str, str]:
    try:
        return open_addresses(lane)
    except Unreadable:
        return {}


def _tell(
    lane: NotificationSettings, channel: str, secrets: Mapping[str, str], notice: Notice
) -> Told:
    if channel == EMAIL:
        return _mail(lane.member.user.email, notice)
    shown = next(item["shown"] for item in lane.addresses if item["id"] == channel)
    if channel not in secrets:
        return Told(f"{shown}: unreadable", permanent=True)
    body = "\n".join([*notice.lines, *([f"… and {notice.more} more"] * bool(notice.more))])
    said = say(secrets[channel], notice.subject, f"{body}\n{notice.link}")
    why = IN_WORDS.get(said.error, said.error)
    return Told(f"{shown}: {why}" if why else "", said.permanent)


def _mail(address: str, notice: Notice) -> Told:
    host = settings.ASSENT_URL.partition("://")[2].partition("/")[0].partition(":")[0]
    message = EmailMultiAlternatives(
        subject=notice.subject,
        body=notice.text,
        to=[address],
        headers={
            "Message-ID": f"<{notice.key}@{host or 'assent.localhost'}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(notice.html, "text/html")
    try:
        message.send()
    except (SMTPRecipientsRefused, SMTPSenderRefused) as error:
        return Told(f"e-mail refused ({_code(error)})", permanent=_code(error) >= 500)
    except (SMTPException, OSError) as error:
        return Told(f"e-mail not sent ({type(error).__name__})")
    return Told()


def _code(error: SMTPRecipientsRefused | SMTPSenderRefused) -> int:
    if isinstance(error, SMTPSenderRefused):
        return int(error.smtp_code)
    return max((int(code) for code, _ in error.recipients.values()), default=0)


def _still_true(turn: _Turn) -> set[UUID]:
    """The rows of which the member should still be told, by what they may see and do now."""
    member = turn.lane.member
    try:
        actor = member_actor(member.user, member.workspace_id)
    except Forbidden:
        return set()
    tasks = _visible_tasks(actor, turn.rows)
    seen = Incident.objects.visible_to(actor).filter(status=IncidentStatus.OPEN)
    incidents = set(seen.filter(pk__in=_ids(turn.rows, "incident_id")).values_list("pk", flat=True))
    times, now = times_of(turn.lane), db_now()
    kept = set()
    for row in turn.rows:
        if row.task_id is not None:
            row.task = tasks.get(row.task_id)
        if times.time_of(row.kind) == NoticeTime.OFF:
            continue
        if row.kind == NoticeKind.TEST or (
            (row.incident_id in incidents and actor.can(Permission.DECIDE_ANOMALIES))
            or (row.task is not None and _concerns(actor, row.kind, row.task, now))
        ):
            kept.add(row.pk)
    return kept


def _visible_tasks(actor: Actor, rows: Iterable[Notification]) -> dict[UUID, UserTask]:
    visible = UserTask.objects.visible_to(actor).filter(pk__in=_ids(rows, "task_id"))
    return {task.pk: task for task in with_everything(visible)}


def _ids(rows: Iterable[Notification], name: str) -> list[UUID]:
    return [getattr(row, name) for row in rows if getattr(row, name) is not None]


def _concerns(actor: Actor, kind: str, task: UserTask, now: dt.datetime) -> bool:
    """Whether this is still so of a visible task, and still theirs."""
    if kind == NoticeKind.TIMED_OUT:
        return task.timed_out
    if task.status != TaskStatus.PENDING or (task.due_at is not None and task.due_at <= now):
        return False
    if kind == NoticeKind.UNROUTABLE:
        return task.unroutable and actor.can(Permission.MANAGE_WORKSPACE)
    return not may_decide(actor, task)


def _record(turn: _Turn) -> None:
    """Write down what became of each row, unless the claim was lost meanwhile."""
    times = times_of(turn.lane)
    with unit_of_work() as unit:
        for row in turn.rows:
            mine = Notification.objects.filter(pk=row.pk, claim=turn.claim)
            failed = turn.errors[row.pk]
            if not failed:
                told = row.channels is not None
                status = NoticeStatus.SENT if told else NoticeStatus.DROPPED
                _finish(mine, status, unit.now)
                continue
            errors = "; ".join(told.error for told in failed.values())[:200]
            if row.attempts >= MAX_ATTEMPTS or all(told.permanent for told in failed.values()):
                _finish(mine, NoticeStatus.FAILED, unit.now, last_error=errors)
                continue
            again = [name for name, told in failed.items() if not told.permanent]
            pause = dt.timedelta(seconds=PAUSES[row.attempts - 1])
            due_at = unit.now + pause
            mine.filter(status=NoticeStatus.PENDING).update(
                claim=None,
                channels=again,
                last_error=errors,
                due_at=due_at if row.kind == NoticeKind.TEST else times.after_quiet(due_at),
            )


def _finish(
    rows: QuerySet[Notification], status: NoticeStatus, now: dt.datetime, **more: Any
) -> int:
    return advance(rows, NOTICE_MOVES, status, claim=None, finished_at=now, **more)


def bury_unheard(limit: int) -> int:
    """Give up the rows whose last attempt was never recorded; returns how many."""
    rows = Notification.objects.filter(
        status=NoticeStatus.PENDING, attempts__gte=MAX_ATTEMPTS, due_at__lte=DbNow()
    )
    found: Sequence[UUID] = list(rows.order_by("due_at").values_list("pk", flat=True)[:limit])
    if not found:
        return 0
    with unit_of_work() as unit:
        return _finish(
            rows.filter(pk__in=found), NoticeStatus.FAILED, unit.now, last_error="no answer"
        )


def forget_told(limit: int) -> int:
    """Delete what had its end longer ago than ASSENT_KEEP_DAYS; returns how many."""
    if settings.ASSENT_KEEP_DAYS <= 0:
        return 0
    before = db_now() - dt.timedelta(days=settings.ASSENT_KEEP_DAYS)
    old = Notification.objects.filter(created_at__lt=before).exclude(status=NoticeStatus.PENDING)
    found = list(old.order_by("created_at").values_list("pk", flat=True)[:limit])
    return Notification.objects.filter(pk__in=found).delete()[0] if found else 0


def drop_pending(workspace_id: UUID) -> int:
    """After a restore: nothing that was on its way is told any more (promise 17)."""
    rows = Notification.objects.in_workspace(workspace_id).filter(status=NoticeStatus.PENDING)
    with unit_of_work() as unit:
        return _finish(rows, NoticeStatus.DROPPED, unit.now)
