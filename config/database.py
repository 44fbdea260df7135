"""How the two databases are spoken to."""

from typing import Any, Final

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

# IMMEDIATE and WAL together: with either alone, contested transactions fail with "locked".
# FULL, because a mark that is lost at power loss would let a call be sent twice.
SQLITE_OPTIONS: Final = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA foreign_keys=ON;"
        "PRAGMA busy_timeout=20000;"
    ),
}


def database_settings(url: str, *, prepare: bool) -> dict[str, Any]:
    """Django's settings for the one database.

    Args:
        url: `postgresql://…`, or `sqlite:///` and a path.
        prepare: plan a statement that comes again and again once, which takes longer than to run
            it. Not for poolers that hand connections on between transactions.

    Raises:
        ImproperlyConfigured: it is the address of neither.
    """
    settings: dict[str, Any] = {**dj_database_url.parse(url, conn_max_age=60)}
    engine = settings.get("ENGINE", "")
    if engine.endswith("sqlite3"):
        return {**settings, "OPTIONS": {**SQLITE_OPTIONS}, "CONN_MAX_AGE": None}
    if not engine.endswith("postgresql"):
        raise ImproperlyConfigured(
            "DATABASE_URL must begin with postgresql:// (or sqlite:///); leave it out for the"
            " embedded database."
        )
    options = {
        "server_side_binding": prepare,
        "prepare_threshold": 3 if prepare else None,
        "connect_timeout": 5,
        # Rows are found by their ids, along foreign keys: a planner that tries every order of
        # nine tables, or compiles the query, takes longer than the query.
        "options": "-c lock_timeout=10s -c statement_timeout=30s"
        " -c idle_in_transaction_session_timeout=60s"
        " -c jit=off -c join_collapse_limit=4 -c from_collapse_limit=4",
    }
    return {**settings, "OPTIONS": options, "CONN_HEALTH_CHECKS": True}
