from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('guard_app', '0007_refused_edits'),
    ]

    operations = [
        migrations.AddField(
            model_name='replay',
            name='hits_pruned_at',
            field=models.DateTimeField(help_text='Since then the calls behind the numbers are no longer kept.', null=True),
        ),
    ]
