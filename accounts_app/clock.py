"""The one function for the database's clock (promise 8).

Every comparison of deadlines and leases uses `DbNow` inside the statement, so that no clock of
a web or worker process matters. Tests move it by a row that all processes read; without the
setting `ASSENT_TEST_CLOCK` that row is never looked at.
"""

import datetime as dt
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Func
from django.db.models.sql.compiler import SQLCompiler
from django.utils.dateparse import parse_datetime

_POSTGRES = "statement_timestamp()"
_POSTGRES_MOVED = (
    "(statement_timestamp() + coalesce((SELECT seconds FROM accounts_app_clockoffset"
    " WHERE id = 1), 0) * interval '1 second')"
)
_SQLITE = "(strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now') || '000')"
_SQLITE_MOVED = (
    "(strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', coalesce((SELECT seconds FROM"
    " accounts_app_clockoffset WHERE id = 1), 0) || ' seconds') || '000')"
)


class DbNow(Func):
    """The database's present time, taken at the start of the statement."""

    output_field = DateTimeField()

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *_: Any, **__: Any
    ) -> tuple[str, tuple[Any, ...]]:
        return _now_sql(connection.vendor), ()


def now_sql(vendor: str, *, after_locks: bool = False) -> str:
    """The clock as SQL.

    Args:
        vendor: of the database.
        after_locks: the time at which a row is written, which may have waited for its lock,
            instead of the statement's start.
    """
    return _now_sql(vendor).replace("statement_", "clock_" if after_locks else "statement_")


def _now_sql(vendor: str) -> str:
    moved = getattr(settings, "ASSENT_TEST_CLOCK", False)
    if vendor == "postgresql":
        return _POSTGRES_MOVED if moved else _POSTGRES
    return _SQLITE_MOVED if moved else _SQLITE


def db_now() -> dt.datetime:
    """Read the database's clock: an aware time in UTC."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + _now_sql(connection.vendor), [])
        (value,) = cursor.fetchone()
    return moment_of(value)


def moment_of(value: str | dt.datetime) -> dt.datetime:
    """What a cursor gives of `now_sql`, as an aware time in UTC."""
    if isinstance(value, str):
        parsed = parse_datetime(value)
        if parsed is None:
            raise ValueError(f"The database's clock answered {value!r}.")
        return parsed.replace(tzinfo=dt.UTC)
    return value.astimezone(dt.UTC)


def in_utc(moment: dt.datetime) -> dt.datetime:
    """A time that somebody gave, in UTC, where the database keeps it; UTC where it has no zone.

    Raises:
        ValueError: in UTC it lies before the year 1 or after 9999.
    """
    if moment.tzinfo is None:
        return moment.replace(tzinfo=dt.UTC)
    try:
        return moment.astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError("In UTC this is out of the calendar.") from error


def utc_text(moment: dt.datetime | None) -> str | None:
    """A time as the contract writes it: ISO 8601 in UTC with `Z`."""
    if moment is None:
        return None
    text = moment.isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")
