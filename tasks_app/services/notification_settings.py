"""How a member wants to be told: by mail, by addresses of messengers, how soon, and when not."""

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from django.conf import settings
from django.db.models import QuerySet

from accounts_app import crypto
from accounts_app.errors import FieldError, Forbidden, Invalid, NotFound
from accounts_app.models import Membership
from accounts_app.moves import advance
from accounts_app.scoping import Actor
from accounts_app.services.audit import register_verbs
from accounts_app.services.unit import Unit, unit_of_work
from accounts_app.states import Permission
from integrations_app.messengers import allowed_schemes, describe
from tasks_app.models import Notification, NotificationSettings
from tasks_app.notice_times import DIGEST_CHOICES, Times
from tasks_app.services.notifying import ring_for
from tasks_app.states import NOTICE_MOVES, NoticeKind, NoticeStatus, NoticeTime

register_verbs(
    {
        "notifications.changed": "changed how they are told",
        "notifications.address_added": "added an address to be told at",
        "notifications.address_removed": "removed an address to be told at",
        "notifications.tested": "sent themselves a test",
    }
)
EMAIL = "email"
MAX_ADDRESSES = 3
_DECIDES = frozenset({Permission.DECIDE_TASKS, Permission.DECIDE_ANOMALIES})
_NEEDS: Mapping[NoticeKind, frozenset[Permission]] = {
    NoticeKind.NEW: _DECIDES,
    NoticeKind.ESCALATED: _DECIDES,
    NoticeKind.ANSWERED: _DECIDES,
    NoticeKind.UNROUTABLE: frozenset({Permission.MANAGE_WORKSPACE}),
    NoticeKind.INCIDENT: frozenset({Permission.DECIDE_ANOMALIES}),
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What a member chose; `email` None leaves it as it was."""

    email: bool | None = None
    times: Mapping[str, str] = field(default_factory=dict)
    quiet_from: dt.time | None = None
    quiet_to: dt.time | None = None
    digest_minutes: int = 60
    digest_at: dt.time = dt.time(8)


def kinds_for(actor: Actor) -> list[NoticeKind]:
    """The kinds that can ever come to somebody with these roles; a participant has no need of
    any."""
    kinds = [kind for kind in NoticeKind if kind != NoticeKind.TEST]
    return [kind for kind in kinds if not _NEEDS.get(kind) or actor.permissions & _NEEDS[kind]]


def settings_of(actor: Actor) -> NotificationSettings:
    """The present choices of whoever asks; not saved where they made none.

    Raises:
        Forbidden: the actor is no member.
    """
    member = _member_of(actor)
    row = NotificationSettings.objects.filter(member=member).first()
    row = row or NotificationSettings(member=member, workspace_id=member.workspace_id)
    row.member = member
    return row


def services_allowed() -> str:
    """The beginnings of the addresses that may be added, for people; empty where none may."""
    return ", ".join(f"{name}://" for name in allowed_schemes())


def may_be_mailed(row: NotificationSettings) -> bool:
    """Whether this installation sends mail and the member has an e-mail."""
    return bool(settings.ASSENT_MAIL and row.member.user.email)


def channels_of(row: NotificationSettings) -> list[str]:
    """The channels by which the member is told: mail, and the id of each address."""
    mailed = may_be_mailed(row) and row.email is not False
    return [EMAIL] * mailed + [item["id"] for item in row.addresses]


def open_addresses(row: NotificationSettings) -> dict[str, str]:
    """The whole addresses by their ids.

    Raises:
        Unreadable: altered, or the key is gone.
    """
    if row.addresses_sealed is None:
        return {}
    plain = crypto.unseal(row.addresses_sealed, place=_place(row))
    found: dict[str, str] = json.loads(plain)
    return found


def times_of(row: NotificationSettings) -> Times:
    """The member's choices of time, in their zone."""
    quiet = None
    if row.quiet_from is not None and row.quiet_to is not None:
        quiet = (row.quiet_from, row.quiet_to)
    return Times(
        zone=row.member.user.time_zone,
        times=tuple(row.times.items()),
        quiet=quiet,
        digest_minutes=row.digest_minutes,
        digest_at=row.digest_at,
    )


def choose(actor: Actor, choices: Choices) -> None:
    """Save what a member chose; what waits for them is timed anew, or dropped.

    Raises:
        Forbidden: the actor is no member.
        Invalid: an unknown kind, time or interval, or half of the quiet hours.
    """
    _check(actor, choices)
    with unit_of_work() as unit:
        row = _locked(unit, actor)
        if choices.email is not None:
            row.email = choices.email
        row.times = {**row.times, **choices.times}
        row.quiet_from, row.quiet_to = choices.quiet_from, choices.quiet_to
        row.digest_minutes, row.digest_at = choices.digest_minutes, choices.digest_at
        row.save(
            update_fields=[
                "email",
                "times",
                "quiet_from",
                "quiet_to",
                "digest_minutes",
                "digest_at",
            ]
        )
        _time_anew(unit, row)
        facts = {
            "email": row.email,
            "times": row.times,
            "quiet": [str(choices.quiet_from), str(choices.quiet_to)] if row.quiet_from else None,
            "digest_minutes": row.digest_minutes,
        }
        unit.audit(actor, "notifications.changed", _target(row), facts)


def add_address(actor: Actor, address: str) -> str:
    """Add an address of a messenger; it is encrypted, and never shown whole again.

    Returns:
        What is shown of it.

    Raises:
        Forbidden: the actor is no member.
        Invalid: no address of a service that is allowed, a private one, or one too many.
    """
    address = address.strip()
    try:
        shown = describe(address)
    except ValueError as error:
        _refuse("address", str(error))
    with unit_of_work() as unit:
        row = _locked(unit, actor)
        present = open_addresses(row)
        if address in present.values():
            _refuse("address", "You are told there already.")
        if len(row.addresses) >= MAX_ADDRESSES:
            _refuse("address", f"At most {MAX_ADDRESSES} addresses; remove one first.")
        identity = uuid.uuid4().hex[:8]
        item = {"id": identity, "shown": shown, "since": unit.now.isoformat()}
        _keep(row, [*row.addresses, item], {**present, identity: address})
        unit.audit(actor, "notifications.address_added", _target(row), {"address": shown})
    return shown


def remove_address(actor: Actor, identity: str) -> str:
    """Remove an address; returns what was shown of it.

    Raises:
        Forbidden: the actor is no member.
        NotFound: no such address of theirs.
    """
    with unit_of_work() as unit:
        row = _locked(unit, actor)
        found = next((item for item in row.addresses if item["id"] == identity), None)
        if found is None:
            raise NotFound("There is no such address.")
        present = open_addresses(row)
        present.pop(identity, None)
        _keep(row, [item for item in row.addresses if item != found], present)
        facts = {"address": found["shown"]}
        unit.audit(actor, "notifications.address_removed", _target(row), facts)
    return str(found["shown"])


def send_test(actor: Actor) -> None:
    """Send a test by every channel that the member has, now, whatever the hour.

    Raises:
        Forbidden: the actor is no member.
        Invalid: there is no channel.
    """
    with unit_of_work() as unit:
        row = _locked(unit, actor)
        if not channels_of(row):
            text = "There is nothing to send it by: add an address, or switch on mail."
            raise Invalid([FieldError("address", "invalid_value", text)], text)
        waiting = Notification.objects.filter(
            member=row.member, kind=NoticeKind.TEST, status=NoticeStatus.PENDING
        )
        advance(waiting, NOTICE_MOVES, NoticeStatus.DROPPED, finished_at=unit.now)
        test = Notification.objects.create(
            workspace_id=row.workspace_id,
            created_at=unit.now,
            member=row.member,
            kind=NoticeKind.TEST,
            due_at=unit.now,
        )
        ring_for(unit, [test])
        unit.audit(actor, "notifications.tested", _target(row))


def _member_of(actor: Actor) -> Membership:
    rows = Membership.objects.in_workspace(actor.workspace_id).filter(is_active=True)
    found = rows.select_related("user").filter(user=actor.user_id).first()
    if actor.user_id is None or found is None:
        raise Forbidden("Only members are told of anything.")
    return found


def _locked(unit: Unit, actor: Actor) -> NotificationSettings:
    member = _member_of(actor)
    NotificationSettings.objects.get_or_create(
        member=member, defaults={"workspace_id": member.workspace_id, "created_at": unit.now}
    )
    row = NotificationSettings.objects.select_for_update(no_key=True).get(member=member)
    row.member = member
    return row


def _keep(row: NotificationSettings, shown: list[Any], whole: Mapping[str, str]) -> None:
    plain = json.dumps(whole).encode()
    row.addresses = shown
    row.addresses_sealed = crypto.seal(plain, place=_place(row)) if shown else None
    row.save(update_fields=["addresses", "addresses_sealed"])


def _time_anew(unit: Unit, row: NotificationSettings) -> None:
    """What waits follows the new choices; what is being tried again keeps its pause."""
    times = times_of(row)
    waiting: QuerySet[Notification] = Notification.objects.filter(
        member=row.member, status=NoticeStatus.PENDING, attempts=0
    )
    for kind in NoticeKind:
        rows = waiting.filter(kind=kind)
        if times.time_of(kind) == NoticeTime.OFF:
            advance(rows, NOTICE_MOVES, NoticeStatus.DROPPED, finished_at=unit.now)
        elif kind != NoticeKind.TEST:
            rows.update(due_at=times.due_at(kind, unit.now))


def _check(actor: Actor, choices: Choices) -> None:
    known = kinds_for(actor)
    for kind, time in choices.times.items():
        if kind not in known:
            _refuse("times", f"Choose from {', '.join(known)}.")
        if time not in NoticeTime.values:
            _refuse(f"times.{kind}", f"Choose from {', '.join(NoticeTime.values)}.")
    if (choices.quiet_from is None) != (choices.quiet_to is None):
        _refuse("quiet_to", "Give both times, or neither.")
    if choices.quiet_from is not None and choices.quiet_from == choices.quiet_to:
        _refuse("quiet_to", "Must differ from the beginning.")
    if choices.digest_minutes not in dict(DIGEST_CHOICES):
        minutes = ", ".join(str(value) for value, _ in DIGEST_CHOICES)
        _refuse("digest_minutes", f"Choose from {minutes}.")


def _target(row: NotificationSettings) -> tuple[str, object, str]:
    return ("member", row.member.pk, row.member.user.get_username())


def _place(row: NotificationSettings) -> str:
    return f"notifications.addresses:{row.pk}"


def _refuse(field: str, detail: str) -> NoReturn:
    raise Invalid([FieldError(field, "invalid_value", detail)])
