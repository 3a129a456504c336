"""A job knows the whole model below the adapter that it trains further."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def fill(apps: Any, _editor: Any) -> None:
    """Until now every job began from whole weights."""
    jobs = apps.get_model("training", "TrainingJob").objects
    jobs.update(whole_version_id=models.F("base_version_id"))


class Migration(migrations.Migration):
    dependencies = [("training", "0002_money")]

    operations = [
        migrations.AddField("trainingjob", "whole_version_id", models.UUIDField(null=True)),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField(
            "trainingjob", "whole_version_id", models.UUIDField(db_index=True)
        ),
    ]
