"""Rows a second into the ledger, and seconds to the bill of a month, on a PostgreSQL of its own.

    python tests/bench/money.py [--lines 200000] [--rows 10000000] [--rounds 3]

Ingest is what the worker does: spool files of the gateway's lines are read, checked, stored each
once, and added to the hourly sums, in the transactions it uses; 200 keys, 5 models, an hour. They
are taken in a second time: nothing may be added. The bill is that of a month with so many
rows of requests in the ledger (loaded by the database itself, its sums too), of which each key asks
each model in each hour, which is as many sums as can be; each kind has a price. PostgreSQL runs on
the same cores, without fsync.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import postgres

KEYS, MODELS = 200, 5
_MONTH = "2026-10"
_BEGIN, _SECONDS = 1_790_812_800, 31 * 86_400  # 2026-10-01, UTC


def lines(count: int, *, project_id: Any, rng: random.Random) -> str:
    keys = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(KEYS)]
    made = []
    for number in range(count):
        made.append(
            json.dumps(
                {
                    "at": _BEGIN + 3600 * number / count,
                    "request_id": f"req_{rng.getrandbits(96):024x}",
                    "project_id": str(project_id),
                    "key_id": rng.choice(keys),
                    "deployment_id": keys[0],
                    "version_id": keys[0],
                    "model": f"model-{rng.randrange(MODELS)}",
                    "endpoint": "/v1/chat/completions",
                    "status": 200,
                    "stream": False,
                    "prompt_tokens": rng.randrange(2000),
                    "completion_tokens": rng.randrange(500),
                    "estimated": False,
                    "latency_ms": rng.random() * 1000,
                    "first_byte_ms": 12.5,
                }
            )
        )
    return "".join(f"{line}\n" for line in made)


def ingest(owner: Any, count: int, rounds: int) -> None:
    from django.utils import timezone

    from slipway.metering.services import ledger, rollups

    rng, paces, spent, theirs = random.Random(7), [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            text = lines(count, project_id=owner.project_id, rng=rng)
            path = Path(folder, f"{number}.jsonl")
            path.write_text(text)
            there = postgres.cpu_seconds()
            began, cpu = time.perf_counter(), time.process_time()
            added = ledger.ingest_spool(now=timezone.now(), directory=Path(folder))
            paces.append(count / (time.perf_counter() - began))
            spent.append((time.process_time() - cpu) / count * 1e6)
            theirs.append((postgres.cpu_seconds() - there) / count * 1e6)
            assert added == count, added
            Path(folder, f"again-{number}.jsonl").write_text(text)
            again = ledger.ingest_spool(now=timezone.now(), directory=Path(folder))
            assert again == 0, again
    wrong = rollups.differences()
    assert not wrong, wrong[:3]
    print(f"ingest: {statistics.median(paces):,.0f} rows/s ({min(paces):,.0f}-{max(paces):,.0f}), "
          f"{statistics.median(spent):.0f} and "
          f"{statistics.median(theirs):.0f} µs of CPU a row, ours and PostgreSQL's; "
          f"taken in again: 0 added; sums equal to the ledger")  # fmt: skip


def bill(owner: Any, rows: int, rounds: int) -> None:
    from datetime import UTC, datetime

    from django.db import connection
    from django.utils import timezone

    from slipway.metering.models import Price, PriceBook, Rollup, UsageRecord
    from slipway.metering.services import bills

    UsageRecord.objects.all().delete()
    Rollup.objects.all().delete()
    book = PriceBook.objects.create(name="all", valid_from=datetime(2026, 1, 1, tzinfo=UTC))
    for kind in ("requests", "prompt_tokens", "completion_tokens"):
        Price.objects.create(book=book, kind=kind, amount="0.8", per=1_000_000)
    began = time.perf_counter()
    with connection.cursor() as cursor:
        # What is asked of is there; the other indexes would only make loading longer.
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'metering_usagerecord' "
                       "AND indexname LIKE '%%created_at%%'")  # fmt: skip
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP INDEX IF EXISTS "{name}"')
        cursor.execute(
            """INSERT INTO metering_usagerecord (id, created_at, request_id, project_id, key_id,
            deployment_id, version_id, model, endpoint, status, stream, prompt_tokens,
            completion_tokens, estimated, latency_ms, first_byte_ms)
            SELECT gen_random_uuid(), to_timestamp(%s + n::float8 / %s * %s), 'req_' || n, %s,
            md5('key' || n %% %s)::uuid, %s, %s, 'model-' || n / %s %% %s, '/v1/chat/completions',
            200, false, n %% 2000, n %% 500, false, 100, 10 FROM generate_series(1, %s) AS n""",
            [_BEGIN, rows + 1, _SECONDS, owner.project_id, KEYS, owner.project_id,
             owner.project_id, KEYS, MODELS, rows],
        )  # fmt: skip
        cursor.execute(
            """INSERT INTO metering_rollup (hour, project_id, key_id, model, kind, quantity)
            SELECT date_trunc('hour', created_at, 'UTC'), project_id, key_id, model, kind, sum(n)
            FROM metering_usagerecord, LATERAL (VALUES ('requests', 1), ('prompt_tokens',
            prompt_tokens), ('completion_tokens', completion_tokens)) AS used (kind, n)
            GROUP BY 1, 2, 3, 4, 5"""
        )
        cursor.execute("ANALYZE")
    print(f"loaded {rows:,} rows, {Rollup.objects.count():,} hourly sums in "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        made = bills.bill(
            organisation_id=owner.organisation_id, organisation="acme",
            project_ids=[owner.project_id], month=_MONTH, now=timezone.now(),
        )  # fmt: skip
        total = made.total
        bills.csv_of(made)
        took.append(time.perf_counter() - began)
    counted = sum(line.quantity for line in made.lines if line.kind == "requests")
    assert counted == rows, (counted, rows)
    print(f"bill: {statistics.median(took):.2f} s ({min(took):.2f}-{max(took):.2f}) with its CSV, "
          f"{len(made.lines):,} lines, {total:f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    owner = postgres.project()
    if asked.lines:
        ingest(owner, asked.lines, asked.rounds)
    if asked.rows:
        bill(owner, asked.rows, asked.rounds)


if __name__ == "__main__":
    main()
