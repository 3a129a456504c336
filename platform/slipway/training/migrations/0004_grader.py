"""A job that learns from rewards has a grader."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0003_whole_version")]

    operations = [migrations.AddField("trainingjob", "grader", models.JSONField(null=True))]
