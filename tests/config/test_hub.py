"""The hub on both databases: who waits is woken, and nothing that was committed is missed."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import InterfaceError, connection
from django.db.utils import ConnectionHandler
from psycopg.conninfo import make_conninfo

from config import wake
from config.hub import Hub, PostgresSource, SqliteSource, conninfo_of, hub_for
from tests.throwaway_postgres import NoPostgres, reachable, start

pytestmark = pytest.mark.enable_socket

TOPIC, OTHER = "0190a1b2-0000-7000-8000-00000000aaaa", "0190a1b2-0000-7000-8000-00000000bbbb"
SERVER = os.environ.get("ASSENT_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
TABLE = "CREATE TABLE accounts_app_wake (id integer PRIMARY KEY AUTOINCREMENT, topic varchar(64))"


def play(hub: Hub, scenario: Callable[[Hub], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        try:
            async with asyncio.timeout(10):
                await scenario(hub)
        finally:
            await hub.stop()

    asyncio.run(main())


async def woken(event: asyncio.Event, seconds: float = 3) -> None:
    async with asyncio.timeout(seconds):
        await event.wait()
    event.clear()


@contextmanager
def hears(hub: Hub, topic: str) -> Iterator[asyncio.Event]:
    event = asyncio.Event()
    with hub.subscribe(topic, event.set):
        yield event


class Embedded:
    """A database file with the table of wakes, and its writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = sqlite3.connect(path, isolation_level=None)
        self.writer.execute("PRAGMA journal_mode=WAL")
        self.writer.execute(TABLE)

    def write(self, *topics: str) -> None:
        self.writer.execute("BEGIN IMMEDIATE")
        for topic in topics:
            self.writer.execute("INSERT INTO accounts_app_wake (topic) VALUES (?)", (topic,))
        self.writer.execute("COMMIT")

    def hub(self) -> Hub:
        return Hub(SqliteSource(self.path, interval=0.002))


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    file = Embedded(tmp_path / "a # file?.sqlite3")
    yield file
    file.writer.close()


def test_sqlite_a_committed_row_wakes_its_waiters_and_nobody_else(embedded: Embedded) -> None:
    async def scenario(hub: Hub) -> None:
        with ExitStack() as stack:
            first = stack.enter_context(hears(hub, TOPIC))
            second = stack.enter_context(hears(hub, TOPIC))
            other = stack.enter_context(hears(hub, OTHER))
            embedded.write(TOPIC)
            await woken(first)
            await woken(second)
            assert not other.is_set()
            embedded.write(TOPIC, OTHER)
            await woken(other)
        assert len(hub) == 0

    play(embedded.hub(), scenario)


def test_sqlite_rows_from_before_the_wait_wake_nobody(embedded: Embedded) -> None:
    async def scenario(hub: Hub) -> None:
        for _ in range(2):
            embedded.write(TOPIC)
            with hears(hub, TOPIC) as heard:
                await asyncio.sleep(0.03)
                assert not heard.is_set()

    play(embedded.hub(), scenario)


def test_sqlite_a_row_right_after_subscribing_is_not_missed(embedded: Embedded) -> None:
    async def scenario(hub: Hub) -> None:
        for _ in range(20):
            with hears(hub, TOPIC) as heard:
                embedded.write(TOPIC)
                await woken(heard)

    play(embedded.hub(), scenario)


def test_sqlite_a_rolled_back_row_wakes_nobody(embedded: Embedded) -> None:
    async def scenario(hub: Hub) -> None:
        with hears(hub, TOPIC) as heard:
            embedded.writer.execute("BEGIN IMMEDIATE")
            embedded.writer.execute("INSERT INTO accounts_app_wake (topic) VALUES (?)", (TOPIC,))
            embedded.writer.execute("ROLLBACK")
            await asyncio.sleep(0.02)
            assert not heard.is_set()

    play(embedded.hub(), scenario)


def test_sqlite_pruned_rows_hide_no_new_ones(embedded: Embedded) -> None:
    async def scenario(hub: Hub) -> None:
        with hears(hub, TOPIC) as heard:
            embedded.write(OTHER, TOPIC)
            await woken(heard)
            embedded.writer.execute("DELETE FROM accounts_app_wake")
            embedded.write(TOPIC)
            await woken(heard)

    play(embedded.hub(), scenario)


def test_sqlite_a_file_that_appears_or_is_replaced_wakes_everybody(tmp_path: Path) -> None:
    path = tmp_path / "late.sqlite3"

    async def scenario(hub: Hub) -> None:
        with hears(hub, TOPIC) as heard:
            await asyncio.sleep(0.01)
            assert not heard.is_set()
            Embedded(path).writer.close()
            await woken(heard)
            replacement = Embedded(tmp_path / "restored.sqlite3")
            replacement.writer.close()
            (tmp_path / "restored.sqlite3").rename(path)
            await woken(heard)

    play(Hub(SqliteSource(path, interval=0.002)), scenario)


def test_sqlite_a_locked_file_is_read_later(tmp_path: Path) -> None:
    path = tmp_path / "rollback.sqlite3"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute(TABLE)

    async def scenario(hub: Hub) -> None:
        with hears(hub, TOPIC) as heard:
            # Without WAL an exclusive lock keeps readers out.
            writer.execute("BEGIN EXCLUSIVE")
            writer.execute("INSERT INTO accounts_app_wake (topic) VALUES (?)", (TOPIC,))
            await asyncio.sleep(0.02)
            assert not heard.is_set()
            writer.execute("COMMIT")
            await woken(heard)

    play(Hub(SqliteSource(path, interval=0.002)), scenario)
    writer.close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if reachable(SERVER):
        yield SERVER
        return
    try:
        throwaway = start()
    except NoPostgres as error:
        pytest.skip(str(error))
    yield throwaway.url
    throwaway.stop()


async def listening(hub: Hub, event: asyncio.Event) -> None:
    """Once the listener is up it wakes everybody: they may have missed something."""
    await woken(event)
    assert len(hub) > 0


def test_postgres_a_notification_wakes_its_waiters_and_nobody_else(server: str) -> None:
    async def scenario(hub: Hub) -> None:
        with hears(hub, TOPIC) as heard, hears(hub, OTHER) as other:
            await listening(hub, heard)
            other.clear()
            with psycopg.connect(server, autocommit=True) as writer:
                writer.execute("SELECT pg_notify('assent_wake', %s)", (TOPIC,))
            await woken(heard)
            assert not other.is_set()

    play(Hub(PostgresSource(server)), scenario)


def test_postgres_a_lost_connection_is_made_anew_and_wakes_everybody(server: str) -> None:
    # Others listen at this server too; only this one's connection is to be lost.
    name = f"assent-waiting-{uuid4().hex}"

    async def scenario(hub: Hub) -> None:
        with hears(hub, TOPIC) as heard:
            await listening(hub, heard)
            with psycopg.connect(server, autocommit=True) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = %s",
                    (name,),
                )
                await woken(heard)
                admin.execute("SELECT pg_notify('assent_wake', %s)", (TOPIC,))
            await woken(heard)

    play(Hub(PostgresSource(make_conninfo(server, application_name=name))), scenario)


def test_postgres_notify_reaches_the_hub(
    server: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(server)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts["dbname"],
        "USER": parts["user"],
        "HOST": parts["host"],
        "PORT": parts.get("port", ""),
    }
    connections = ConnectionHandler({"default": database})
    monkeypatch.setattr(wake, "connection", connections["default"])

    async def scenario(hub: Hub) -> None:
        with hears(hub, TOPIC) as heard, hears(hub, OTHER) as other:
            await listening(hub, heard)
            other.clear()
            await asyncio.to_thread(notify_and_close, [TOPIC, OTHER])
            await woken(heard)
            await woken(other)

    def notify_and_close(topics: list[str]) -> None:
        wake.notify(topics)
        connections["default"].close()

    connections["default"].inc_thread_sharing()
    try:
        # A connection of its own, to a server that holds none of the tests' rows.
        with django_db_blocker.unblock():
            play(hub_for(connections["default"].settings_dict), scenario)
    finally:
        connections["default"].close()


def test_notify_does_nothing_on_the_embedded_database() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("runs on the embedded database")
    # The test's database is closed to it: a statement would raise here.
    wake.notify([TOPIC])


def test_notify_raises_nothing_when_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        vendor = "postgresql"

        def cursor(self) -> None:
            raise InterfaceError("connection already closed")

    monkeypatch.setattr(wake, "connection", Away())
    wake.notify([TOPIC])


def test_django_options_that_libpq_does_not_know_stay_out() -> None:
    database = {
        "NAME": "assent",
        "USER": "",
        "PASSWORD": "a b'c",
        "HOST": "db",
        "PORT": 5433,
        "OPTIONS": {"pool": True, "sslmode": "require", "isolation_level": 2},
    }
    assert psycopg.conninfo.conninfo_to_dict(conninfo_of(database)) == {
        "dbname": "assent",
        "password": "a b'c",
        "host": "db",
        "port": "5433",
        "sslmode": "require",
    }
