"""The index behind `q`: trigrams on PostgreSQL; where the extension is not to be had, none."""

from django.db import DatabaseError, migrations, transaction

INDEX = """
CREATE INDEX IF NOT EXISTS task_search ON tasks_app_usertask USING gin (
    upper(title) gin_trgm_ops,
    upper(description) gin_trgm_ops,
    upper(key) gin_trgm_ops,
    upper(participant) gin_trgm_ops
)
"""


def make(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            cursor.execute(INDEX)
    except DatabaseError as error:
        # Without the right, or without the extension on the server, a search reads all rows.
        print(f"\n  No index for searching texts: {str(error).splitlines()[0]}")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS task_search")


class Migration(migrations.Migration):

    dependencies = [("tasks_app", "0006_participant_index")]

    operations = [migrations.RunPython(make, drop, elidable=False)]
