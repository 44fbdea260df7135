"""Wakes those who wait in this process: one listener for all of them, whatever their number.

On PostgreSQL that is one connection with LISTEN; on the embedded database one look at its change
counter every few milliseconds. A wake is a hint: who is woken looks again at the rows.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict, make_conninfo

CHANNEL = "assent_wake"
POLL_SECONDS = 0.02
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
QUIET_SECONDS = 15.0
"""After so long without a notification the connection is asked whether it still lives."""

ROWS_SINCE = "SELECT id, topic FROM accounts_app_wake WHERE id > ? ORDER BY id"
NEWEST_ROW = "SELECT coalesce(max(id), 0) FROM accounts_app_wake"

_KEEPALIVE = {
    "connect_timeout": "2",
    "application_name": "assent-waiting",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}
_DJANGO_NAMES = {
    "NAME": "dbname",
    "USER": "user",
    "PASSWORD": "password",
    "HOST": "host",
    "PORT": "port",
}

log = structlog.get_logger(__name__)


class Source(Protocol):
    """Where the wakes come from."""

    def mark(self) -> None:
        """Note the present: whatever is committed after this call must be reported by `run`.

        Called on the loop when the first waiter comes after a time without any. Must not block.
        """

    async def run(self, hub: "Hub") -> None:
        """Report to `hub.wake` and `hub.wake_all` until cancelled."""


class Subscription:
    """One waiter's ear: while its context is open, `wake` is called when the topic is woken."""

    __slots__ = ("_hub", "topic", "wake")

    def __init__(self, hub: "Hub", topic: str, wake: Callable[[], None]) -> None:
        self._hub = hub
        self.topic = topic
        self.wake = wake

    def __enter__(self) -> Self:
        self._hub.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hub.remove(self)


class Hub:
    """Passes wakes on to the subscriptions of one event loop.

    Args:
        source: where the wakes come from; it runs from the first use until `stop`.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.wanted = asyncio.Event()
        self._topics: dict[str, set[Subscription]] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._topics.values()))

    def subscribe(self, topic: str, wake: Callable[[], None]) -> Subscription:
        """Listen to a topic inside `with`; what is committed from then on wakes it.

        Args:
            topic: an object's UUID as text.
            wake: called on the loop, perhaps several times; must not wait.
        """
        return Subscription(self, topic, wake)

    def start(self) -> None:
        """Start the source, unless it runs. Needs a running event loop."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self.source.run(self))
            self._task.add_done_callback(_report)

    async def stop(self) -> None:
        """Stop the source; subscriptions are woken no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def add(self, subscription: Subscription) -> None:
        """Enter a subscription; done by its context."""
        if not self._topics:
            self.source.mark()
            self.wanted.set()
        self._topics.setdefault(subscription.topic, set()).add(subscription)
        self.start()

    def remove(self, subscription: Subscription) -> None:
        """Leave out a subscription; done by its context."""
        listeners = self._topics.get(subscription.topic, set())
        listeners.discard(subscription)
        if not listeners:
            self._topics.pop(subscription.topic, None)
        if not self._topics:
            self.wanted.clear()

    def wake(self, topic: str) -> None:
        """Wake those who listen to a topic."""
        for subscription in self._topics.get(topic, ()):
            subscription.wake()

    def wake_all(self) -> None:
        """Wake everybody: wakes may have been missed."""
        for topic in self._topics:
            self.wake(topic)


class PostgresSource:
    """One connection with LISTEN; after every (re)connection everybody is woken.

    Args:
        conninfo: how to reach the server directly; LISTEN does not work through a pooler that
            shares connections between transactions.
    """

    def __init__(self, conninfo: str) -> None:
        self.conninfo = make_conninfo(**{**_KEEPALIVE, **_given(conninfo)})

    def mark(self) -> None:
        """Nothing to note: the server keeps what was sent since LISTEN."""

    async def run(self, hub: Hub) -> None:
        """Listen for ever; a lost connection is made anew within two seconds."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_SECONDS
        while True:
            since = loop.time()
            try:
                await self._listen(hub)
            # OSError: unreachable, and the time-outs of the questions of our own.
            except (psycopg.Error, OSError) as error:
                if pause == FIRST_PAUSE_SECONDS:
                    log.warning("waiting_connection_lost", error=type(error).__name__)
            if loop.time() - since > QUIET_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _listen(self, hub: Hub) -> None:
        connection = await psycopg.AsyncConnection.connect(self.conninfo, autocommit=True)
        try:
            await connection.execute(f"LISTEN {CHANNEL}")
            hub.wake_all()
            while True:
                async for notification in connection.notifies(timeout=QUIET_SECONDS):
                    hub.wake(notification.payload)
                async with asyncio.timeout(5):
                    await connection.execute("SELECT 1")
        finally:
            await connection.close()


class SqliteSource:
    """Looks at the file's change counter, and reads the new rows when it has moved.

    Args:
        path: the database file; it may appear later, and may be replaced.
        interval: seconds between two looks, while anybody waits.
    """

    def __init__(self, path: str | Path, *, interval: float = POLL_SECONDS) -> None:
        self.path = str(path)
        self.interval = interval
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._version = -1
        self._last: int | None = None

    def mark(self) -> None:
        """Skip what was written while nobody waited; where that fails, all are woken later."""
        try:
            connection = self._connected()
            self._version = _number(connection, "PRAGMA data_version")
            self._last = _number(connection, NEWEST_ROW)
        except (sqlite3.Error, OSError):
            self._last = None

    async def run(self, hub: Hub) -> None:
        """Look while anybody waits, rest while nobody does."""
        try:
            while True:
                await hub.wanted.wait()
                self._look(hub)
                await asyncio.sleep(self.interval)
        finally:
            self._close()

    def _look(self, hub: Hub) -> None:
        try:
            topics = self._news()
        except (sqlite3.Error, OSError):
            # Missing, locked, or not migrated yet: the next look finds what this one missed.
            return
        if topics is None:
            hub.wake_all()
            return
        for topic in topics:
            hub.wake(topic)

    def _news(self) -> list[str] | None:
        """The topics written since the last look; None where that cannot be known."""
        connection = self._connected()
        version = _number(connection, "PRAGMA data_version")
        if self._last is None:
            self._last = _number(connection, NEWEST_ROW)
            self._version = version
            return None
        if version == self._version:
            return []
        rows = connection.execute(ROWS_SINCE, (self._last,)).fetchall()
        # Only now: a read that failed is repeated at the next look.
        self._version = version
        if rows:
            self._last = rows[-1][0]
        return [topic for _, topic in rows]

    def _connected(self) -> sqlite3.Connection:
        status = os.stat(self.path)
        file = (status.st_dev, status.st_ino)
        if self._connection is None or file != self._file:
            self._close()
            # No time-out: a locked file must not hold up the event loop.
            self._connection = sqlite3.connect(
                f"file:{quote(self.path)}?mode=ro", uri=True, timeout=0, isolation_level=None
            )
            self._file = file
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._last = None, None


def hub_for(database: Mapping[str, Any], listen_url: str = "") -> Hub:
    """Build the hub that fits a database.

    Args:
        database: an entry of Django's DATABASES.
        listen_url: a direct address of the same PostgreSQL database, where the entry's own leads
            through a pooler; "" for the entry's own.
    """
    if database["ENGINE"].endswith("sqlite3"):
        return Hub(SqliteSource(database["NAME"]))
    return Hub(PostgresSource(listen_url or conninfo_of(database)))


def conninfo_of(database: Mapping[str, Any]) -> str:
    """Say in libpq's words where Django's PostgreSQL entry leads; settings of Django's stay out."""
    words = {word: str(database[name]) for name, word in _DJANGO_NAMES.items() if database[name]}
    for name, value in database.get("OPTIONS", {}).items():
        if name in ("service", "passfile", "options") or name.startswith(("ssl", "gss", "target")):
            words[name] = str(value)
    return make_conninfo(**words)


def _given(conninfo: str) -> dict[str, str]:
    return {
        name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None
    }


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _report(task: "asyncio.Task[None]") -> None:
    """A source that ends by itself is a mistake in it; the next waiter starts it again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("waiting_source_failed", exc_info=error)
