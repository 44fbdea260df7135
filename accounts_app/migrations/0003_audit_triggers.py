from django.db import migrations

from accounts_app import audit_triggers


def install(apps, schema_editor):
    audit_triggers.install(schema_editor.connection)


def remove(apps, schema_editor):
    audit_triggers.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("accounts_app", "0002_workspaces")]
    operations = [migrations.RunPython(install, remove, elidable=False)]
