"""Plans, and projects' subscriptions to them, under the second net."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models

from slipway.core import tenants


def _protect(apps, editor):
    if editor.connection.vendor == "postgresql":
        editor.execute(tenants.protect("plans_subscription", "project_id"))


def _release(apps, editor):
    if editor.connection.vendor == "postgresql":
        editor.execute(tenants.release("plans_subscription"))


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ("tenancy", "0004_signed_in"),
    ]

    operations = [
        migrations.CreateModel(
            name='Plan',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(max_length=63)),
                ('about', models.CharField(blank=True, default='', max_length=300)),
                ('fee', models.DecimalField(decimal_places=6, max_digits=15)),
                ('term', models.CharField(choices=[('hour', 'Hour'), ('month', 'Month')], max_length=8)),
                ('model', models.CharField(blank=True, default='', max_length=256)),
                ('requests_per_minute', models.PositiveIntegerField(default=0)),
                ('tokens_per_minute', models.PositiveIntegerField(default=0)),
                ('replicas', models.PositiveIntegerField(default=0)),
                ('most_units', models.PositiveIntegerField(default=1)),
                ('everybody', models.BooleanField(default=False)),
                ('offered', models.BooleanField(default=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('offered', True)), fields=('name',), name='one_plan_of_a_name'), models.UniqueConstraint(condition=models.Q(('everybody', True), ('offered', True)), fields=('model',), name='one_plan_of_everybody')],
            },
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False)),
                ('phase', models.CharField(db_index=True, max_length=32)),
                ('reason', models.TextField(blank=True, default='')),
                ('look_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, null=True)),
                ('project_id', models.UUIDField(db_index=True)),
                ('units', models.PositiveIntegerField()),
                ('next_units', models.PositiveIntegerField(null=True)),
                ('renews', models.BooleanField(default=True)),
                ('begun_at', models.DateTimeField()),
                ('term', models.PositiveIntegerField(default=0)),
                ('term_ends_at', models.DateTimeField()),
                ('made_by', models.CharField(max_length=150)),
                ('ended_at', models.DateTimeField(null=True)),
                ('plan', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='plans.plan')),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('phase', 'active')), fields=('project_id', 'plan'), name='one_subscription_to_a_plan')],
            },
        ),
        migrations.RunPython(_protect, _release),
    ]
