"""The ends of organisations, under the second net."""

import django.utils.timezone
import uuid
from django.db import migrations, models

from slipway.core import tenants


def _protect(apps, editor):
    if editor.connection.vendor == "postgresql":
        editor.execute(tenants.protect("leaving_departure", "organisation_id"))


def _release(apps, editor):
    if editor.connection.vendor == "postgresql":
        editor.execute(tenants.release("leaving_departure"))


class Migration(migrations.Migration):

    dependencies = [
        ('leaving', '0001_takeouts'),
    ]

    operations = [
        migrations.CreateModel(
            name='Departure',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False)),
                ('phase', models.CharField(db_index=True, max_length=32)),
                ('reason', models.TextField(blank=True, default='')),
                ('look_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, null=True)),
                ('organisation_id', models.UUIDField(db_index=True)),
                ('made_by', models.CharField(max_length=150)),
                ('due_at', models.DateTimeField()),
                ('rows_gone_at', models.DateTimeField(null=True)),
                ('done_at', models.DateTimeField(null=True)),
                ('removed', models.JSONField(default=dict)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('phase', 'withdrawn'), _negated=True), fields=('organisation_id',), name='departure_once')],
            },
        ),
        migrations.RunPython(_protect, _release),
    ]
