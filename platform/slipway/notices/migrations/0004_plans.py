"""The end of a subscription is told too."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notices', '0003_spend_alerts'),
    ]

    operations = [
        migrations.AlterField(
            model_name='delivery',
            name='happening',
            field=models.CharField(choices=[('budget.reached', 'Budget'), ('job.ended', 'Job'), ('key.expiring', 'Key'), ('quota.asked', 'Quota Asked'), ('quota.answered', 'Quota Answered'), ('quota.lapsed', 'Quota Lapsed'), ('plan.ended', 'Plan Ended'), ('test', 'Test')], max_length=32),
        ),
    ]
