"""Tells the waiters of all processes, after the commit, that something has changed."""

from collections.abc import Iterable

import structlog
from django.db import Error, connection

from config.hub import CHANNEL

# The transaction of a notification holds nothing worth waiting for the disk.
NOTIFY = """
    SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, topic)
    FROM unnest(%s::text[]) AS topic
"""

log = structlog.get_logger(__name__)


def notify(topics: Iterable[str]) -> None:
    """Wake who waits for these topics; one short statement on PostgreSQL.

    Must be called after the commit: NOTIFY takes a lock that all commits of the server share, and
    a deciding transaction must not hold it. On the embedded database the rows that were committed
    are the wake, and nothing is left to do. Raises nothing; a waiter whose wake was lost looks
    again when its time is over.

    Args:
        topics: the UUIDs of what has changed, as text.
    """
    if connection.vendor != "postgresql":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(NOTIFY, [CHANNEL, list(topics)])
    except Error as error:
        log.warning("wake_failed", error=type(error).__name__)
