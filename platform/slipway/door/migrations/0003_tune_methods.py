"""Fine-tuning by other methods than supervised, and a name from the beginning."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def name(apps: Any, _editor: Any) -> None:
    """What has succeeded keeps its name."""
    tunes = apps.get_model("door", "FineTune").objects
    tunes.update(result_name=models.F("fine_tuned_model"))


class Migration(migrations.Migration):
    dependencies = [("door", "0002_answers")]

    operations = [
        migrations.AddField(
            "finetune", "method", models.CharField(default="supervised", max_length=16)
        ),
        migrations.AddField("finetune", "grader", models.JSONField(null=True)),
        migrations.AddField(
            "finetune",
            "result_name",
            models.CharField(blank=True, db_index=True, default="", max_length=63),
        ),
        migrations.RunPython(name, migrations.RunPython.noop),
    ]
