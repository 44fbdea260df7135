"""Triggers by which the database itself refuses to change or remove evidence.

They stand in a module of their own because tests that flush tables must lift them for a while.
"""

from django.db.backends.base.base import BaseDatabaseWrapper

_TABLE = "accounts_app_auditentry"
_POSTGRES_FUNCTION = """
CREATE OR REPLACE FUNCTION assent_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'The audit trail is append-only.'; END $$
"""


def install(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers that refuse UPDATE, DELETE and TRUNCATE."""
    if connection.vendor == "postgresql":
        statements = [
            _POSTGRES_FUNCTION,
            f"CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON {_TABLE}"
            " FOR EACH ROW EXECUTE FUNCTION assent_audit_is_append_only()",
            f"CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON {_TABLE}"
            " FOR EACH STATEMENT EXECUTE FUNCTION assent_audit_is_append_only()",
        ]
    else:
        statements = [
            f"CREATE TRIGGER audit_no_{act.lower()} BEFORE {act} ON {_TABLE}"
            " BEGIN SELECT RAISE(ABORT, 'The audit trail is append-only.'); END"
            for act in ("UPDATE", "DELETE")
        ]
    _run(connection, statements)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers; for tests, and for undoing the migration."""
    if connection.vendor == "postgresql":
        statements = [
            f"DROP TRIGGER IF EXISTS audit_no_{what} ON {_TABLE}" for what in ("change", "truncate")
        ]
    else:
        statements = [f"DROP TRIGGER IF EXISTS audit_no_{what}" for what in ("update", "delete")]
    _run(connection, statements)


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
