"""A project may keep things for fewer days than the installation."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0006_proved_domains'),
    ]

    operations = [
        migrations.AddField(
            model_name='project',
            name='retention',
            field=models.JSONField(default=dict),
        ),
    ]
