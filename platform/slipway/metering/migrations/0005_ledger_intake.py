"""One index of the ledger less: nobody looks for the beginning of a request's id."""

from __future__ import annotations

from typing import Any

from django.db import migrations

_TABLE, _COLUMN = "metering_usagerecord", "request_id"


def _drop(apps: Any, editor: Any) -> None:
    # PostgreSQL alone has it, beside the unique one, for `LIKE 'req_…%'`.
    if editor.connection.vendor == "postgresql":
        name = editor._create_index_name(_TABLE, [_COLUMN], suffix="_like")
        editor.execute(f'DROP INDEX IF EXISTS "{name}"')


def _make(apps: Any, editor: Any) -> None:
    if editor.connection.vendor == "postgresql":
        name = editor._create_index_name(_TABLE, [_COLUMN], suffix="_like")
        editor.execute(f'CREATE INDEX "{name}" ON "{_TABLE}" ("{_COLUMN}" varchar_pattern_ops)')


class Migration(migrations.Migration):
    dependencies = [("metering", "0004_spend_alerts")]

    operations = [migrations.RunPython(_drop, _make, elidable=False)]
