"""One act, one transaction: what changed, its audit entries, and who is told afterwards.

The audit entries of a unit are written last, because the head of the chain is the one lock that
all units of a workspace share. Waiters and workers are told after the commit, as a hint only:
rows are the truth, and a sweep finds what a lost hint would have started (promise 4).
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from accounts_app.clock import db_now
from accounts_app.faults import fault
from accounts_app.models import Wake
from accounts_app.scoping import Actor
from accounts_app.services.audit import Entry, append


@dataclass(slots=True)
class Unit:
    """What one transaction has to say once it is done."""

    entries: list[Entry] = field(default_factory=list)
    topics: dict[str, None] = field(default_factory=dict)
    rings: dict[tuple[str, ...], None] = field(default_factory=dict)
    _now: dt.datetime | None = None

    @property
    def now(self) -> dt.datetime:
        """The database's time, read once for the unit."""
        if self._now is None:
            self._now = db_now()
        return self._now

    def audit(
        self,
        actor: Actor,
        verb: str,
        target: tuple[str, object, str],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Note an audit entry, written when the unit ends.

        Args:
            actor: who did it.
            verb: a registered verb.
            target: kind, id and name of what it was done to.
            data: facts, JSON; never a secret or a sensitive value.
        """
        kind, identity, name = target
        self.entries.append(Entry(actor, verb, kind, str(identity), name[:200], dict(data or {})))

    def wake(self, *topics: UUID) -> None:
        """Wake whoever waits for these objects, after the commit."""
        self.topics.update(dict.fromkeys(map(str, topics)))

    def ring(self, job: str, *args: UUID) -> None:
        """Ask for a background job by its name, after the commit."""
        self.rings[(job, *map(str, args))] = None

    def flush(self) -> None:
        if self.topics and connection.vendor == "sqlite":
            Wake.objects.bulk_create([Wake(topic=topic) for topic in self.topics])
        append(self.entries)

    def tell(self) -> None:
        if self.topics:
            import_string(settings.ASSENT_WAKE)(list(self.topics))
        fault("nudge.before")
        for job, *args in self.rings:
            import_string(settings.ASSENT_DOORBELL)(job, *args)
        fault("nudge.after")


_current: ContextVar[Unit | None] = ContextVar("unit_of_work", default=None)


@contextmanager
def unit_of_work() -> Iterator[Unit]:
    """Open a transaction, or join the one that an outer service opened.

    An error that leaves an inner unit undoes the outer one as well.
    """
    outer = _current.get()
    if outer is not None:
        with transaction.atomic(savepoint=False):
            yield outer
        return
    unit = Unit()
    token = _current.set(unit)
    try:
        with transaction.atomic(durable=True):
            yield unit
            unit.flush()
            transaction.on_commit(partial(unit.tell), robust=True)
    finally:
        _current.reset(token)
