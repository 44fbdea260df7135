"""Migrations run beside the old processes: they only add, and lock no large table for long."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models.signals import post_migrate

from accounts_app.online_indexes import AddIndexOnline, RemoveIndexOnline
from config.management.commands.migrate import patience_of_a_migration
from tests.harness.server import PROJECT

LARGE = {
    "usertask",
    "decision",
    "toolcall",
    "attempt",
    "run",
    "session",
    "message",
    "auditentry",
    "outboxevent",
    "delivery",
    "notification",
    "detection",
    "measure",
}
"""Tables that grow with every call; the others have a few thousand rows at most."""

SINCE = {"accounts_app": 10, "guard_app": 5, "integrations_app": 6, "tasks_app": 11}
"""The last migration of each part that was written before these rules held."""

REMOVES = (
    migrations.RemoveField,
    migrations.DeleteModel,
    migrations.RenameField,
    migrations.RenameModel,
)
LOCKING_SQL = re.compile(
    r"\b(?:create\s+(?:unique\s+)?|drop\s+|re)index\b(?!\s+concurrently)", re.IGNORECASE
)


def complaints(migration: Any) -> Iterator[str]:
    """What of a migration would keep the old processes from working, or remove what they use."""
    online = [o for o in migration.operations if isinstance(o, AddIndexOnline | RemoveIndexOnline)]
    if online and (getattr(migration, "atomic", True) or len(online) < len(migration.operations)):
        yield "indexes are built online in a migration of their own, with atomic = False"
    for operation in migration.operations:
        if isinstance(operation, REMOVES):
            yield f"{type(operation).__name__}: remove it one release later"
        yield from locks(operation)


def locks(operation: Operation) -> Iterator[str]:
    """What of an operation would lock a large table for as long as the table is large."""
    kind = type(operation).__name__
    if isinstance(operation, migrations.RunSQL) and LOCKING_SQL.search(str(operation.sql)):
        yield "RunSQL: say CONCURRENTLY"
    name = str(getattr(operation, "model_name", "")).lower()
    if name not in LARGE:
        return
    if isinstance(operation, migrations.AddIndex | migrations.RemoveIndex):
        if not isinstance(operation, AddIndexOnline | RemoveIndexOnline):
            yield f"{kind} on {name}: use accounts_app.online_indexes"
    elif isinstance(operation, migrations.AddConstraint):
        yield f"{kind} on {name}: it reads the whole table under a lock"
    elif isinstance(operation, migrations.AlterField | migrations.AddField):
        field = operation.field
        indexed = field.db_index or field.unique or field.remote_field is not None
        if isinstance(operation, migrations.AddField) and indexed:
            yield f"{kind} on {name}: add the column without an index, and the index online"
        if isinstance(operation, migrations.AddField) and not (
            field.null or field.db_default is not models.NOT_PROVIDED
        ):
            yield f"{kind} on {name}: the old processes do not fill it; null or db_default"


def written() -> Iterator[tuple[str, Path]]:
    for label in SINCE:
        for path in sorted((PROJECT / label / "migrations").glob("0*.py")):
            yield label, path


def load(label: str, path: Path) -> Any:
    return importlib.import_module(f"{label}.migrations.{path.stem}").Migration


def test_migrations_of_today_lock_nobody_out() -> None:
    found = {
        path.name: said
        for label, path in written()
        if int(path.name[:4]) > SINCE[label] and (said := list(complaints(load(label, path))))
    }
    assert found == {}


def test_no_migration_ever_removes() -> None:
    for label, path in written():
        operations = load(label, path).operations
        assert not [o for o in operations if isinstance(o, REMOVES)], path.name


INDEX = models.Index(fields=["type"], name="outbox_type_for_a_test")
BAD: list[Operation] = [
    migrations.AddIndex("ToolCall", models.Index(fields=["key"], name="x")),
    migrations.RemoveIndex("usertask", "task_by_deadline_any_status"),
    migrations.AddConstraint("run", models.UniqueConstraint(fields=["key"], name="x")),
    migrations.AddField("auditentry", "more", models.TextField(null=True, db_index=True)),
    migrations.AddField("outboxevent", "more", models.TextField()),
    migrations.AddField("session", "by", models.ForeignKey("Agent", models.CASCADE, null=True)),
    migrations.RemoveField("measure", "number"),
    migrations.RunSQL("CREATE INDEX x ON tasks_app_usertask (title)"),
    AddIndexOnline("outboxevent", INDEX),
]
GOOD: list[Operation] = [
    migrations.AddIndex("guardrule", models.Index(fields=["name"], name="x")),
    migrations.AddField("toolcall", "more", models.TextField(null=True)),
    migrations.AddField("toolcall", "more", models.BooleanField(db_default=False)),
    migrations.RunSQL("CREATE INDEX CONCURRENTLY x ON tasks_app_usertask (title)"),
]


@pytest.mark.parametrize("operation", BAD, ids=lambda each: type(each).__name__)
def test_the_check_finds_what_locks_or_removes(operation: Operation) -> None:
    bad = type("Migration", (), {"operations": [operation], "atomic": True})
    assert list(complaints(bad))


@pytest.mark.parametrize("operation", GOOD, ids=lambda each: type(each).__name__)
def test_the_check_lets_through_what_does_not(operation: Operation) -> None:
    assert not list(complaints(type("Migration", (), {"operations": [operation], "atomic": True})))


def test_an_index_of_its_own_migration_is_let_through() -> None:
    online = [AddIndexOnline("outboxevent", INDEX), RemoveIndexOnline("run", "x")]
    assert not list(complaints(type("Migration", (), {"operations": online, "atomic": False})))


def indexes() -> dict[str, Any]:
    with connection.cursor() as cursor:
        table = "integrations_app_outboxevent"
        return connection.introspection.get_constraints(cursor, table)


def apply(operation: Operation, before: ProjectState, *, backwards: bool = False) -> ProjectState:
    after = before.clone()
    operation.state_forwards("integrations_app", after)
    states = (after, before) if backwards else (before, after)
    act = operation.database_backwards if backwards else operation.database_forwards
    with connection.schema_editor(atomic=False) as editor:
        act("integrations_app", editor, *states)
    return after


def test_an_index_is_built_and_dropped_beside_traffic(transactional_db: None) -> None:
    add, remove = AddIndexOnline("outboxevent", INDEX), RemoveIndexOnline("outboxevent", INDEX.name)
    before = ProjectState.from_apps(apps)
    added = apply(add, before)
    assert INDEX.name in indexes()
    apply(remove, added)
    assert INDEX.name not in indexes()
    if connection.vendor == "postgresql":
        assert timeouts() == ("30s", "10s")
    apply(remove, added, backwards=True)
    assert INDEX.name in indexes()
    apply(add, before, backwards=True)
    assert INDEX.name not in indexes()


def only_on_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("belongs to the run on PostgreSQL")


def test_an_index_that_broke_off_is_built_anew(transactional_db: None) -> None:
    only_on_postgresql()
    add, before = AddIndexOnline("outboxevent", INDEX), ProjectState.from_apps(apps)
    apply(add, before)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [INDEX.name]
        )
    apply(add, before)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", [INDEX.name]
        )
        assert cursor.fetchone() == (True,)
    apply(add, before, backwards=True)


def timeouts() -> tuple[str, ...]:
    found = []
    for name in ("statement_timeout", "lock_timeout"):
        with connection.cursor() as cursor:
            cursor.execute(f"SHOW {name}")
            found.append(cursor.fetchone()[0])
    return tuple(found)


def test_a_migration_may_take_long_and_waits_for_no_lock(transactional_db: None) -> None:
    only_on_postgresql()
    seen = []

    def look(**_: object) -> None:
        seen.append(timeouts())

    post_migrate.connect(look)
    try:
        call_command("migrate", verbosity=0)
    finally:
        post_migrate.disconnect(look)
    assert set(seen) == {("0", "5s")}
    assert timeouts() == ("30s", "10s")


def test_a_migration_gives_up_where_a_transaction_holds_the_table(transactional_db: None) -> None:
    only_on_postgresql()
    given = connection.get_connection_params()
    keys = ("host", "port", "user", "password", "dbname")
    other = psycopg.connect(**{key: given[key] for key in keys if given.get(key)})
    with other, other.cursor() as holder:
        holder.execute("SELECT count(*) FROM integrations_app_outboxevent")
        with (
            pytest.raises(CommandError, match=r"waited 0\.1 s for a lock"),
            patience_of_a_migration(connection, lock_seconds=0.1),
            connection.cursor() as cursor,
        ):
            cursor.execute("ALTER TABLE integrations_app_outboxevent ADD COLUMN x integer")
    assert timeouts() == ("30s", "10s")
