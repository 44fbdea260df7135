"""`Idempotency-Key`: the first answer of a request, kept and replayed.

The record is taken in a transaction of its own, so that a second request sees the first under
way; effect and answer are stored in one transaction, so that neither exists without the other.
A refusal stores nothing: the caller may mend the request and use the key again.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts_app.clock import DbNow, db_now
from accounts_app.errors import Conflict, DomainError, FieldError, Invalid
from accounts_app.models import IdempotencyRecord
from accounts_app.services.unit import unit_of_work

LEASE = dt.timedelta(seconds=60)
KEPT = dt.timedelta(days=30)
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets: the stored text, and whether it is a replay."""

    text: str
    replayed: bool


def once(workspace_id: UUID, *, path: str, key: str, body: bytes, act: Callable[[], str]) -> Answer:
    """Run `act` once for this key; afterwards answer what it answered.

    Args:
        workspace_id: the caller's workspace.
        path: the request's path.
        key: the header's value, 1 to 255 printable characters.
        body: what the request says; another body with the same key is refused.
        act: does it, inside this unit of work, and returns the answer as text.

    Raises:
        Invalid: a key that is blank, too long, or not printable ASCII.
        Conflict: `in_progress` or `idempotency_mismatch`.
    """
    if not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        text = f"Must be 1 to {MAX_KEY} printable ASCII characters."
        raise Invalid([FieldError("Idempotency-Key", "invalid_value", text)])
    digest = hashlib.sha256(body).hexdigest()
    mine = uuid.uuid4()
    stored = _take(workspace_id, path, key, digest, mine)
    if stored is not None:
        return Answer(stored, replayed=True)
    held = IdempotencyRecord.objects.filter(
        workspace_id=workspace_id, path=path, key=key, owner=mine
    )
    try:
        with unit_of_work():
            text = act()
            if not held.update(response=text):
                raise Conflict("This request took too long; ask again.", code="in_progress")
    except DomainError:
        held.filter(response__isnull=True).delete()
        raise
    return Answer(text, replayed=False)


def _take(workspace_id: UUID, path: str, key: str, digest: str, mine: UUID) -> str | None:
    """Hold the record for this attempt, or return the stored answer."""
    now = db_now()
    try:
        with transaction.atomic():
            IdempotencyRecord.objects.create(
                workspace_id=workspace_id,
                path=path,
                key=key,
                body_digest=digest,
                owner=mine,
                lease_until=now + LEASE,
                created_at=now,
            )
            return None
    except IntegrityError:
        found = IdempotencyRecord.objects.filter(workspace_id=workspace_id, path=path, key=key)
    row = found.first()
    if row is not None and row.created_at <= now - KEPT:
        found.filter(pk=row.pk, created_at=row.created_at).delete()
        return _take(workspace_id, path, key, digest, mine)
    if row is not None and row.body_digest != digest:
        text = "This Idempotency-Key was used with another body."
        raise Conflict(text, code="idempotency_mismatch")
    if row is not None and row.response is not None:
        return row.response
    over = Q(response__isnull=True, lease_until__lte=DbNow())
    if found.filter(over).update(owner=mine, lease_until=now + LEASE):
        return None
    raise Conflict("The first request with this key is under way.", code="in_progress")


def forget_old() -> int:
    """Delete the records that are older than 30 days; returns how many."""
    return IdempotencyRecord.objects.filter(created_at__lte=db_now() - KEPT).delete()[0]
