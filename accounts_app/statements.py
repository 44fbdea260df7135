"""Statements by hand, and how they go to PostgreSQL: planned for their values, or unawaited."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from django.db import connection, models, transaction

_ID: Final = models.UUIDField()


def places(values: Sequence[object]) -> str:
    """As many parameters as there are values, for `IN (…)` or a row."""
    return ", ".join(["%s"] * len(values))


def bound(value: UUID) -> Any:
    """An identity as the database takes it for a parameter."""
    return _ID.get_db_prep_value(value, connection)


@contextmanager
def planned_for_its_values() -> Iterator[None]:
    """Have each statement inside planned for the values that it carries.

    A statement that comes again and again gets one plan for all values. For a search that plan
    reads the rows in the list's order until enough match, which for a rare word are all of them.
    It lasts for a transaction of its own, so that a pooler's next client gets no part of it.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL plan_cache_mode TO force_custom_plan")
        yield


@contextmanager
def sent_without_waiting() -> Iterator[None]:
    """Have the database work on the statements inside while Python goes on.

    On PostgreSQL they are sent as a pipeline (the extended query protocol's), and their answers
    are there at the end: what a cursor of a statement inside gives can be read after it, and how
    many rows it changed is not known before. A statement that fails, fails at the end, and those
    after it are not carried out. On SQLite each is carried out where it stands.

    Raises:
        django.db.Error: of the first statement that failed.
    """
    if connection.vendor != "postgresql":
        yield
        return
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield
