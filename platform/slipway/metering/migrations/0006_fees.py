"""Two more kinds in the ledger: what a subscription costs, and time that it has paid."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('metering', '0005_ledger_intake'),
    ]

    operations = [
        migrations.AlterField(
            model_name='entry',
            name='kind',
            field=models.CharField(choices=[('requests', 'Requests'), ('prompt_tokens', 'Prompt Tokens'), ('completion_tokens', 'Completion Tokens'), ('embedding_tokens', 'Embedding Tokens'), ('training_tokens', 'Training Tokens'), ('cpu_milliseconds', 'Cpu Milliseconds'), ('gpu_milliseconds', 'Gpu Milliseconds'), ('storage_mib_hours', 'Storage Mib Hours'), ('paid_milliseconds', 'Paid Milliseconds'), ('plan_fee', 'Plan Fee')], max_length=32),
        ),
        migrations.AlterField(
            model_name='price',
            name='kind',
            field=models.CharField(choices=[('requests', 'Requests'), ('prompt_tokens', 'Prompt Tokens'), ('completion_tokens', 'Completion Tokens'), ('embedding_tokens', 'Embedding Tokens'), ('training_tokens', 'Training Tokens'), ('cpu_milliseconds', 'Cpu Milliseconds'), ('gpu_milliseconds', 'Gpu Milliseconds'), ('storage_mib_hours', 'Storage Mib Hours'), ('paid_milliseconds', 'Paid Milliseconds'), ('plan_fee', 'Plan Fee')], max_length=32),
        ),
        migrations.AlterField(
            model_name='rollup',
            name='kind',
            field=models.CharField(choices=[('requests', 'Requests'), ('prompt_tokens', 'Prompt Tokens'), ('completion_tokens', 'Completion Tokens'), ('embedding_tokens', 'Embedding Tokens'), ('training_tokens', 'Training Tokens'), ('cpu_milliseconds', 'Cpu Milliseconds'), ('gpu_milliseconds', 'Gpu Milliseconds'), ('storage_mib_hours', 'Storage Mib Hours'), ('paid_milliseconds', 'Paid Milliseconds'), ('plan_fee', 'Plan Fee')], max_length=32),
        ),
    ]
