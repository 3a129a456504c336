"""The terms that nobody paid are known, so that nothing was paid in them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('plans', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='subscription',
            name='away_from',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='subscription',
            name='away_until',
            field=models.DateTimeField(null=True),
        ),
    ]
