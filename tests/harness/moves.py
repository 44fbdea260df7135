"""What statuses really did: triggers of the database write down each single move.

Looking at the rows from time to time would miss what came and went in between, and would see
two moves as one.
"""

from django.db import connection

TABLES = {
    "task": "tasks_app_usertask",
    "call": "integrations_app_toolcall",
    "run": "integrations_app_run",
}
Move = tuple[str, str, str]
"""Kind of row, the status that it left, the status that it came to."""

_POSTGRESQL = """
CREATE TABLE moves_seen (id bigserial, kind text, source text, target text);
CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO moves_seen (kind, source, target) VALUES (TG_ARGV[0], OLD.status, NEW.status);
  RETURN NULL;
END $$;
"""
_SQLITE = """
CREATE TABLE moves_seen (id integer PRIMARY KEY, kind text, source text, target text);
"""


def watch() -> None:
    """Write down moves from here on; what is made goes with the test's transaction."""
    postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(_POSTGRESQL if postgresql else _SQLITE)
        for kind, table in TABLES.items():
            head = f"CREATE TRIGGER {kind}_move AFTER UPDATE OF status ON {table} FOR EACH ROW"
            if postgresql:
                act = f"EXECUTE FUNCTION note_move('{kind}')"
            else:
                values = f"VALUES ('{kind}', OLD.status, NEW.status)"
                act = f"BEGIN INSERT INTO moves_seen (kind, source, target) {values}; END"
            cursor.execute(f"{head} WHEN (OLD.status <> NEW.status) {act}")


def take() -> list[Move]:
    """The moves since the last look, in their order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, source, target FROM moves_seen ORDER BY id")
        found = [(kind, source, target) for kind, source, target in cursor.fetchall()]
        if found:
            cursor.execute("DELETE FROM moves_seen")
    return found
