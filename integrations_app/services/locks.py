"""All locking reads of this part, so that the order of locks is decided once.

The order is session → runs by id → tasks → calls → audit head. Rows are locked without their
keys, so that inserting a child row does not wait.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts_app.errors import Conflict
from integrations_app.models import Run, Session
from integrations_app.states import RUN_OPEN, SessionStatus


def lock_session(session_id: UUID) -> Session:
    return Session.objects.select_for_update(no_key=True).get(pk=session_id)


def lock_runs(run_ids: Sequence[UUID] | QuerySet[Any]) -> list[Run]:
    rows = Run.objects.select_for_update(no_key=True).filter(pk__in=run_ids)
    return list(rows.order_by("pk"))


def lock_run(run_id: UUID) -> Run:
    return lock_runs([run_id])[0]


def try_lock_runs(run_ids: Collection[UUID]) -> set[UUID]:
    """Lock runs for a sweep, passing over those that somebody is at work on."""
    rows = Run.objects.select_for_update(no_key=True, skip_locked=True)
    return set(rows.filter(pk__in=run_ids).order_by("pk").values_list("pk", flat=True))


def try_lock_run(run_id: UUID) -> bool:
    """Lock a run for a sweep, or pass over one that somebody is at work on."""
    return bool(try_lock_runs([run_id]))


def lock_active_session(session_id: UUID) -> Session:
    """Lock a session in which something is about to begin.

    Raises:
        Conflict: `session_ended`.
    """
    session = lock_session(session_id)
    if session.status != SessionStatus.ACTIVE:
        raise Conflict(f"The session is {session.status}.", code="session_ended")
    return session


def lock_open_run(run_id: UUID) -> Run:
    """Lock a run in which something is about to begin.

    Raises:
        Conflict: `run_ended`.
    """
    run = lock_run(run_id)
    if run.status not in RUN_OPEN:
        raise Conflict(f"The run is {run.status}.", code="run_ended")
    return run
