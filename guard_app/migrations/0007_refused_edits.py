import accounts_app.models.base
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('guard_app', '0006_orders_of_incidents'),
    ]

    operations = [
        migrations.AddField(
            model_name='detection',
            name='refused_edit_by',
            field=accounts_app.models.base.JSONTextField(help_text='Who tried the edit that it hit, and that was refused.', null=True),
        ),
    ]
