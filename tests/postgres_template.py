"""A migrated database on the tests' PostgreSQL, kept between runs: a new one is its copy.

As `sqlite_template`, for the same migrations and locked packages; the one for others is dropped.
"""

import os
import subprocess
import sys
from typing import Any, LiteralString, cast

import psycopg

from tests.sqlite_template import PROJECT, version

PREFIX = "assent_template_"
LOCK = 7_166_183
"""Of the server's advisory locks, held while a template is made or copied."""
NAMED = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"


def copy(server_url: str, name: str) -> None:
    """Create a migrated database.

    Args:
        server_url: of any database of the server, as somebody who may create databases.
        name: of the new one.
    """
    with psycopg.connect(_maintained(server_url), autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        _run(server, f"CREATE DATABASE {name} TEMPLATE {_template(server, server_url)}")


def ensure(server_url: str) -> str:
    """The name of the migrated database, made first where there is none."""
    with psycopg.connect(_maintained(server_url), autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        return _template(server, server_url)


def url_of(settings: dict[str, Any]) -> str:
    """The address of Django's settings of a database on a server."""
    place = f"{settings['HOST']}:{settings['PORT'] or 5432}"
    return f"postgresql://{settings['USER']}:{settings['PASSWORD']}@{place}/{settings['NAME']}"


def _template(server: psycopg.Connection[Any], server_url: str) -> str:
    name = PREFIX + version()
    standing = {row[0] for row in server.execute(NAMED, [PREFIX])}
    if name in standing:
        return name
    for old in standing:
        _run(server, f"DROP DATABASE IF EXISTS {old} WITH (FORCE)")
    unfinished = f"{name}_unfinished"
    _run(server, f"CREATE DATABASE {unfinished}")
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=PROJECT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": f"{server_url.rpartition('/')[0]}/{unfinished}",
        },
        check=True,
    )
    _run(server, f"ALTER DATABASE {unfinished} RENAME TO {name}")
    return name


def _maintained(server_url: str) -> str:
    return f"{server_url.rpartition('/')[0]}/postgres"


def _run(server: psycopg.Connection[Any], statement: str) -> None:
    server.execute(cast(LiteralString, statement))
