"""Embedded tokens are a kind of their own; the sums so far are told apart, at the same prices."""

from django.db import migrations, models
from django.db.models import F, Sum
from django.db.models.functions import TruncHour

CHOICES = [
    ('requests', 'Requests'), ('prompt_tokens', 'Prompt Tokens'), ('completion_tokens', 'Completion Tokens'),
    ('embedding_tokens', 'Embedding Tokens'), ('training_tokens', 'Training Tokens'),
    ('cpu_milliseconds', 'Cpu Milliseconds'), ('gpu_milliseconds', 'Gpu Milliseconds'),
    ('storage_mib_hours', 'Storage Mib Hours'),
]


def tell_apart(apps, schema_editor):
    Rollup = apps.get_model('metering', 'Rollup')
    asked = apps.get_model('metering', 'UsageRecord').objects.filter(endpoint='/v1/embeddings')
    cells = asked.annotate(hour=TruncHour('created_at')).values('hour', 'project_id', 'key_id', 'model')
    for cell in cells.annotate(tokens=Sum('prompt_tokens')).order_by():
        tokens = cell.pop('tokens')
        if tokens:
            Rollup.objects.filter(**cell, kind='prompt_tokens').update(quantity=F('quantity') - tokens)
            Rollup.objects.create(**cell, kind='embedding_tokens', quantity=tokens)
    Rollup.objects.filter(kind='prompt_tokens', quantity=0).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('metering', '0002_money'),
    ]

    operations = [
        migrations.AlterField('entry', 'kind', models.CharField(choices=CHOICES, max_length=32)),
        migrations.AlterField('rollup', 'kind', models.CharField(choices=CHOICES, max_length=32)),
        migrations.AlterField('price', 'kind', models.CharField(choices=CHOICES, max_length=32)),
        migrations.RunPython(tell_apart, migrations.RunPython.noop),
    ]
