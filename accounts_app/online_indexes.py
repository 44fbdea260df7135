"""Indexes that are built and dropped beside traffic: what migrations of large tables use.

PostgreSQL builds them concurrently, without keeping anybody from writing; SQLite has one writer
and builds them plainly. A migration that uses these has `atomic = False`, and nothing else in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddIndex, RemoveIndex

_INVALID = """
SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE relname = %s AND NOT indisvalid AND pg_table_is_visible(pg_class.oid)
"""


class AddIndexOnline(AddIndexConcurrently):
    """`AddIndex` beside traffic; what an attempt that broke off has left is built anew."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            AddIndex.database_forwards(self, app_label, schema_editor, *states)
            return
        with _waiting_for_others(schema_editor):
            _drop_invalid(schema_editor, self.index.name)
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            AddIndex.database_backwards(self, app_label, schema_editor, *states)
            return
        with _waiting_for_others(schema_editor):
            super().database_backwards(app_label, schema_editor, *states)


class RemoveIndexOnline(RemoveIndexConcurrently):
    """`RemoveIndex` beside traffic."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            RemoveIndex.database_forwards(self, app_label, schema_editor, *states)
            return
        with _waiting_for_others(schema_editor):
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            RemoveIndex.database_backwards(self, app_label, schema_editor, *states)
            return
        with _waiting_for_others(schema_editor):
            super().database_backwards(app_label, schema_editor, *states)


@contextmanager
def _waiting_for_others(schema_editor: BaseDatabaseSchemaEditor) -> Iterator[None]:
    """Wait for locks without limit: unlike other changes, this one holds up nobody meanwhile."""
    if schema_editor.collect_sql:
        yield
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        (before,) = cursor.fetchone()
        cursor.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])


def _drop_invalid(schema_editor: BaseDatabaseSchemaEditor, name: str) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(_INVALID, [name])
        if cursor.fetchone():
            schema_editor.execute(f"DROP INDEX CONCURRENTLY {schema_editor.quote_name(name)}")
