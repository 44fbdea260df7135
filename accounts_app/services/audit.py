"""The audit trail: registered verbs, and the hash that chains each entry to the one before."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from accounts_app.clock import moment_of, now_sql
from accounts_app.models import AuditEntry, AuditHead, Workspace, new_id
from accounts_app.scoping import Actor
from accounts_app.strict_json import canonical

VERBS: dict[str, str] = {}
CHAINED = (
    "id",
    "workspace_id",
    "sequence",
    "at",
    "verb",
    "actor_type",
    "actor_id",
    "actor_name",
    "channel",
    "request_id",
    "target_type",
    "target_id",
    "target_name",
    "data",
    "previous_hash",
)


def register_verbs(verbs: dict[str, str]) -> None:
    """Declare what can happen in an app.

    Args:
        verbs: name of the verb, for instance `task.completed`, and how a page says it.
    """
    VERBS.update(verbs)


@dataclass(frozen=True, slots=True)
class Entry:
    """An act that a unit of work will write down."""

    actor: Actor
    verb: str
    target_type: str
    target_id: str
    target_name: str
    data: dict[str, Any]

    def __post_init__(self) -> None:
        if self.verb not in VERBS:
            raise ValueError(f"Register the audit verb {self.verb!r} before using it.")


def append(entries: Sequence[Entry]) -> None:
    """Write entries at the end of their workspaces' chains, inside the caller's transaction."""
    chains: dict[UUID, list[Entry]] = defaultdict(list)
    for entry in entries:
        chains[entry.actor.workspace_id].append(entry)
    for workspace_id in sorted(chains):
        _append(workspace_id, chains[workspace_id])


def _append(workspace_id: UUID, entries: Sequence[Entry]) -> None:
    last, previous, now = _take_numbers(workspace_id, len(entries))
    rows = []
    for number, entry in enumerate(entries, start=last - len(entries) + 1):
        row = AuditEntry(
            id=new_id(),
            workspace_id=workspace_id,
            sequence=number,
            at=now,
            verb=entry.verb,
            actor_type=entry.actor.type.value,
            actor_id=entry.actor.id,
            actor_name=entry.actor.name[:200],
            channel=entry.actor.channel.value,
            request_id=entry.actor.request_id[:64],
            target_type=entry.target_type,
            target_id=entry.target_id,
            target_name=entry.target_name,
            data=canonical(entry.data),
            previous_hash=previous,
        )
        previous = row.hash = chained_hash(row)
        rows.append(row)
    AuditEntry.objects.bulk_create(rows)
    AuditHead.objects.filter(pk=workspace_id).update(hash=previous)


def _take_numbers(workspace_id: UUID, count: int) -> tuple[int, str, dt.datetime]:
    """Lock the head and hand out a block of numbers, in one statement.

    Returns:
        The last of the numbers, the hash before the first, and the time once the lock was held.
    """
    table = connection.ops.quote_name(AuditHead._meta.db_table)
    key = AuditHead._meta.get_field("workspace").get_db_prep_value(workspace_id, connection)
    now = now_sql(connection.vendor, after_locks=True)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET sequence = sequence + %s WHERE workspace_id = %s"  # noqa: S608
            f" RETURNING sequence, hash, {now}",
            [count, key],
        )
        last, previous, moment = cursor.fetchone()
    return last, previous, moment_of(moment)


def chained_hash(row: AuditEntry) -> str:
    """SHA-256 over every column, each with its length before it."""
    digest = hashlib.sha256(b"assent.audit.v1\0")
    for name in CHAINED:
        value = getattr(row, name)
        if isinstance(value, dt.datetime):
            value = value.astimezone(dt.UTC).isoformat(timespec="microseconds")
        part = str(value).encode()
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Broken:
    """The first entry of a workspace's chain that does not fit, and why."""

    workspace: str
    sequence: int
    reason: str


def verify(batch: int = 2000) -> Iterator[Broken]:
    """Recompute every workspace's chain.

    Args:
        batch: how many entries are read at once.

    Yields:
        The first broken entry of each workspace whose chain does not hold.
    """
    for workspace in Workspace.objects.order_by("slug"):
        broken = verify_one(workspace, batch)
        if broken is not None:
            yield broken


def verify_one(workspace: Workspace, batch: int = 2000) -> Broken | None:
    """Recompute one workspace's chain; what is broken first, or None where it holds."""
    head = AuditHead.objects.filter(pk=workspace.pk).first()
    previous, expected = "0" * 64, 1
    rows = AuditEntry.objects.filter(workspace=workspace).order_by("sequence")
    for row in rows.iterator(chunk_size=batch):
        if row.sequence != expected:
            return Broken(workspace.slug, expected, "is missing")
        if row.previous_hash != previous:
            return Broken(workspace.slug, row.sequence, "does not follow the entry before it")
        if chained_hash(row) != row.hash:
            return Broken(workspace.slug, row.sequence, "was altered")
        previous, expected = row.hash, expected + 1
    if head is None:
        return Broken(workspace.slug, expected, "has no head")
    if (head.sequence, head.hash) != (expected - 1, previous):
        return Broken(workspace.slug, expected, "is missing at the end of the chain")
    return None
