from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("limits", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Share",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("pot", models.CharField(max_length=400)),
                ("gateway", models.CharField(blank=True, default="", max_length=32)),
                ("amount", models.FloatField()),
                ("at", models.FloatField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("pot", "gateway"), name="one_share_a_gateway")],
            },
        ),
    ]
