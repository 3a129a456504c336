"""Migrations of the ledger over rows that were there before, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import servers

#: Two hours, two keys and two models; of one model nothing but embeddings was asked, of the other
#: nothing of the kind in the second hour. Sums are what the code before the migration wrote.
STORY = """
import datetime, json, uuid
import django; django.setup()
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Sum

call_command("migrate", "metering", "0002", verbosity=0, skip_checks=True)
apps = MigrationExecutor(connection).loader.project_state([("metering", "0002_money")]).apps
Record, Rollup = (apps.get_model("metering", name) for name in ("UsageRecord", "Rollup"))
nobody, project = uuid.UUID(int=0), uuid.uuid4()
keys = [uuid.uuid4(), uuid.uuid4()]
start = datetime.datetime(2026, 3, 29, 0, tzinfo=datetime.timezone.utc)
asked = [
    (0, 5, keys[0], "chat", "/v1/chat/completions", 100, 7),
    (0, 59, keys[0], "both", "/v1/chat/completions", 10, 3),
    (0, 1, keys[0], "both", "/v1/embeddings", 40, 0),
    (0, 2, keys[0], "both", "/v1/embeddings", 2, 0),
    (0, 3, keys[1], "both", "/v1/embeddings", 5, 0),
    (1, 0, keys[0], "both", "/v1/embeddings", 8, 0),
    (1, 0, keys[0], "only", "/v1/embeddings", 0, 0),
    (1, 0, keys[0], "chat", "/v1/chat/completions", 1, 1),
]
sums = {}
for number, (hour, minute, key, model, endpoint, prompt, completion) in enumerate(asked):
    at = start + datetime.timedelta(hours=hour, minutes=minute)
    Record.objects.create(
        created_at=at, request_id=f"req_{number}", project_id=project, key_id=key,
        deployment_id=nobody, version_id=nobody, model=model, endpoint=endpoint, status=200,
        stream=False, prompt_tokens=prompt, completion_tokens=completion, estimated=False,
        latency_ms=1.0,
    )
    for kind, count in (("requests", 1), ("prompt_tokens", prompt),
                        ("completion_tokens", completion)):
        cell = (start + datetime.timedelta(hours=hour), key, model, kind)
        sums[cell] = sums.get(cell, 0) + count
for (hour, key, model, kind), count in sums.items():
    if count:
        Rollup.objects.create(hour=hour, project_id=project, key_id=key, model=model, kind=kind,
                              quantity=count)
# What is not a request has sums too, and no record.
Rollup.objects.create(hour=start, project_id=project, key_id=nobody, model="chat",
                      kind="training_tokens", quantity=1000)
before = Rollup.objects.aggregate(sum=Sum("quantity"))["sum"]
call_command("migrate", "metering", verbosity=0, skip_checks=True)
from slipway.metering.models import Rollup
found = sorted(
    [row.hour.hour, keys.index(row.key_id) if row.key_id.int else -1, row.model, row.kind,
     row.quantity]
    for row in Rollup.objects.exclude(kind="requests")
)
after = Rollup.objects.aggregate(sum=Sum("quantity"))["sum"]
print(json.dumps([connection.vendor, before, after, found]))
"""


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_sums_of_embeddings_are_told_apart_and_nothing_is_lost(vendor: str, tmp_path: Path) -> None:
    where = {"SLIPWAY_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "slipway.settings"}
    if vendor == "postgresql":
        where["SLIPWAY_DATABASE_URL"] = servers.postgres().fresh()
    done = subprocess.run(
        [sys.executable, "-c", STORY],
        env=os.environ | where | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    was, before, after, found = json.loads(done.stdout)
    assert was == vendor
    assert before == after
    assert found == [
        [0, -1, "chat", "training_tokens", 1000],
        [0, 0, "both", "completion_tokens", 3],
        [0, 0, "both", "embedding_tokens", 42],
        [0, 0, "both", "prompt_tokens", 10],
        [0, 0, "chat", "completion_tokens", 7],
        [0, 0, "chat", "prompt_tokens", 100],
        [0, 1, "both", "embedding_tokens", 5],
        [1, 0, "both", "embedding_tokens", 8],
        [1, 0, "chat", "completion_tokens", 1],
        [1, 0, "chat", "prompt_tokens", 1],
    ]
