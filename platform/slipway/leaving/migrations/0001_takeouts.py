"""Archives of everything that is an organisation's, under the second net."""

import django.utils.timezone
import uuid
from django.db import migrations, models

from slipway.core import tenants


def _protect(apps, editor):
    if editor.connection.vendor == "postgresql":
        editor.execute(tenants.protect("leaving_takeout", "organisation_id"))


def _release(apps, editor):
    if editor.connection.vendor == "postgresql":
        editor.execute(tenants.release("leaving_takeout"))


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ("tenancy", "0004_signed_in"),
    ]

    operations = [
        migrations.CreateModel(
            name='Takeout',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False)),
                ('phase', models.CharField(db_index=True, max_length=32)),
                ('reason', models.TextField(blank=True, default='')),
                ('look_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, null=True)),
                ('organisation_id', models.UUIDField(db_index=True)),
                ('made_by', models.CharField(max_length=150)),
                ('size_bytes', models.BigIntegerField(default=0)),
                ('sha256', models.CharField(blank=True, default='', max_length=64)),
                ('file_count', models.PositiveIntegerField(default=0)),
                ('rows', models.JSONField(default=dict)),
                ('expires_at', models.DateTimeField(null=True)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.RunPython(_protect, _release),
    ]
