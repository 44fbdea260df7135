"""Django's `migrate`, with the patience of a migration instead of that of a request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import CommandError
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.errors import LockNotAvailable

LOCK_SECONDS = 5.0


@contextmanager
def patience_of_a_migration(
    connection: BaseDatabaseWrapper, lock_seconds: float = LOCK_SECONDS
) -> Iterator[None]:
    """A statement may take as long as it takes, but waits for a lock for a moment only.

    Whatever comes to a table queues behind a change that waits for its lock, so that a change that
    waits for one long transaction would hold up everybody.

    Args:
        connection: of the migration.
        lock_seconds: how long it waits.

    Raises:
        CommandError: it gave up.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = 0; SET lock_timeout = '{lock_seconds * 1000:.0f}'")
    try:
        yield
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        raise CommandError(
            f"The migration waited {lock_seconds:g} s for a lock and gave up, so that nobody queues"
            " behind it. Nothing of its last step was kept: end the long transaction (see"
            " pg_stat_activity) and run it again."
        ) from error
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("RESET statement_timeout; RESET lock_timeout")


class Command(DjangoCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        with patience_of_a_migration(connection):
            super().handle(*args, **options)
