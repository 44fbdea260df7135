"""Rows that many tests begin with: written through the product once, put back after that.

Making the cast and its payments service takes a hundred requests and services; putting their rows
back takes one statement a table. Identities stay the same from test to test.
"""

import inspect
import sys
from functools import _lru_cache_wrapper, cache
from typing import Any

from django.apps import apps
from django.db import connection, transaction


class Snapshot:
    """All rows that were written since `begin`, into tables that were empty then."""

    def __init__(self) -> None:
        self._occupied = {table: _count(table) for table in connection.introspection.table_names()}
        self._rows: dict[str, Any] = {}

    def take(self) -> None:
        """Keep what stands there now."""
        for table, before in self._occupied.items():
            now = _count(table)
            if before and now != before:
                raise AssertionError(f"{table} had rows before; what was added cannot be told")
            if now and not before:
                self._rows[table] = _read(table)

    def put_back(self) -> None:
        """Write the rows into the database of the running test."""
        forget_workspaces()
        with transaction.atomic():
            for table, rows in self._rows.items():
                _write(table, rows)


def forget_workspaces() -> None:
    """Empty what this process remembers of workspaces: another test's had the same identity."""
    for remembered in _by_workspace():
        remembered.cache_clear()


@cache
def _by_workspace() -> list[Any]:
    """The product's caches that have a workspace's identity in their keys."""
    products = {app.name for app in apps.get_app_configs() if not app.name.startswith("django")}
    return [
        value
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in products
        for value in vars(module).values()
        if isinstance(value, _lru_cache_wrapper) and _is_by_workspace(value)
    ]


def _is_by_workspace(function: Any) -> bool:
    return "workspace_id" in inspect.signature(function).parameters


def _count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{table}"')
        return int(cursor.fetchone()[0])


def _read(table: str) -> Any:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f'SELECT json_agg(t)::text FROM "{table}" AS t')
            return cursor.fetchone()[0]
        cursor.execute(f'SELECT * FROM "{table}"')
        return cursor.fetchall()


def _write(table: str, rows: Any) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f'INSERT INTO "{table}"'
                f' SELECT * FROM json_populate_recordset(NULL::"{table}", %s::json)',
                [rows],
            )
            return
        places = ", ".join(["%s"] * len(rows[0]))
        cursor.executemany(f'INSERT INTO "{table}" VALUES ({places})', rows)
