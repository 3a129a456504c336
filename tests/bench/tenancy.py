"""What access control, lists and the audit log cost, on a PostgreSQL of its own.

    python tests/bench/tenancy.py [--jobs 1000000] [--rounds 400] [--parts check,list,audit]

`check`: the permission check of a request (`MayChange.has_permission`) alone, and looking up the
key that asks. `list`: a page of 50 of one tenant's jobs, which has them all, without and with a
filter, at the beginning, in the middle and at the end: the page as rows, ours and the stock
`LimitOffsetPagination` of Django REST framework over the same rows and indexes, alternated; and the
whole request. A tenth of the jobs was deleted. `audit`: a change of one row in a transaction,
with and without its entry, alternated, and the same as requests; 10,000 entries are there before.
PostgreSQL runs on the same cores, without fsync. CPU is this process's and its PostgreSQL
process's together.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import postgres

_PHASES = ("succeeded",) * 6 + ("failed", "cancelled", "running", "deleted")


def timed(work: Callable[[], Any], rounds: int) -> tuple[list[float], float]:
    """Milliseconds of each round by the clock, and of CPU on average."""
    took = []
    cpu = time.process_time() + postgres.cpu_seconds()
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1e3)
    cpu = time.process_time() + postgres.cpu_seconds() - cpu
    return took, cpu / rounds * 1e3


def told(took: list[float], cpu: float) -> str:
    return (
        f"p50 {statistics.median(took):8.2f}  p99 {postgres.quantile(took, 0.99):8.2f}  "
        f"CPU {cpu:8.2f} ms"
    )


def check(owner: Any, secret: str, rounds: int) -> None:
    from types import SimpleNamespace

    from django.utils import timezone

    from slipway.tenancy import services
    from slipway.tenancy.permissions import MayChange
    from slipway.training.api.asking import JobsView

    asking, view, may = SimpleNamespace(user=owner, method="POST"), JobsView(), MayChange()
    count = rounds * 100
    cpu = time.process_time()
    for _ in range(count):
        assert may.has_permission(asking, view)
    spent = (time.process_time() - cpu) / count * 1e6
    print(f"permission check: {spent:.1f} µs of CPU")
    found = timed(lambda: services.check_key(secret=secret, now=timezone.now()), rounds)
    print(f"who a key is:     {told(*found)}")


def fill(owner: Any, count: int) -> None:
    """So many jobs, the database's own copies of one, a second apart."""
    from datetime import UTC, datetime

    from django.db import connection
    from tenant_world import CONTENT, minimal

    from slipway.training.models import TrainingJob

    first = minimal(TrainingJob, {"project_id": owner.project_id, "text": "job-", "look_at": None})
    words = {"zh": "由数据决定", "en": "from the rows"}
    values = {"learning_rate": 0.0002, "epochs": 3, "batch_size": 8, "lora_rank": 16}
    TrainingJob.objects.filter(pk=first.pk).update(
        estimate=CONTENT["training.TrainingJob.estimate"], resolved=values, given=values,
        why=dict.fromkeys(values, words), metrics={"loss": 0.31, "eval_loss": 0.4},
    )  # fmt: skip
    columns = [column.column for column in TrainingJob._meta.concrete_fields]
    made = {
        "id": "gen_random_uuid()",
        "handle": "lpad(to_hex(n), 12, '0')",
        "created_at": "%s::timestamptz + n * interval '1 second'",
        "phase": f"(ARRAY{list(_PHASES)!r})[1 + n %% {len(_PHASES)}]",
    }
    table = TrainingJob._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{table}" ({", ".join(columns)}) '
            f"SELECT {', '.join(made.get(name, name) for name in columns)} "
            f'FROM "{table}", generate_series(1, %s) AS n',
            [datetime(2026, 1, 1, tzinfo=UTC), count],
        )
        cursor.execute(f'VACUUM ANALYZE "{table}"')


def pages(owner: Any, secret: str, count: int, rounds: int) -> None:
    from django.test import RequestFactory
    from rest_framework.pagination import LimitOffsetPagination
    from rest_framework.request import Request
    from rest_framework.test import APIClient

    from slipway.core import http
    from slipway.core.postgres.base import KEPT, shelf
    from slipway.training import services
    from slipway.training.models import TrainingJob

    began = time.perf_counter()
    fill(owner, count)
    print(f"{count:,} jobs of one tenant, made in {time.perf_counter() - began:.0f} s")
    client = APIClient(SERVER_NAME="localhost")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    client.get("/api/v1/jobs")
    # As the web process does.
    shelf.most = KEPT
    client.get("/api/v1/jobs")
    gc.collect()
    gc.freeze()
    factory = RequestFactory()
    every = TrainingJob.objects.filter(project_id=owner.project_id).order_by("-created_at", "-pk")
    for phase in ("", "succeeded", "failed"):
        rows = services.jobs(project_id=owner.project_id, phase=phase)
        total = rows.count()
        for name, offset in (("first", 0), ("middle", total // 2), ("last", total - 51)):
            before = every.filter(pk__in=rows.values("pk"))[max(0, offset - 1)] if offset else None
            query = {"cursor": http._encode(before, "-created", "created_at")} if before else {}
            ours = Request(factory.get("/", query))
            theirs = Request(factory.get("/", {"limit": 50, "offset": offset}))
            stock = LimitOffsetPagination()

            def page(rows: Any = rows, asked: Request = ours) -> list[Any]:
                return http.Keyset().paginate_queryset(rows, asked)

            def plain(rows: Any = rows, asked: Request = theirs, by: Any = stock) -> Any:
                return by.paginate_queryset(rows.order_by("-created_at", "-pk"), asked)

            assert [row.pk for row in page()] == [row.pk for row in plain()]
            place = f"{phase or 'all':10} {name:7}"
            print(f"{place} rows, ours   {told(*timed(page, rounds))}")
            print(f"{place} rows, stock  {told(*timed(plain, max(3, rounds // 40)))}")
            asked = {**query, **({"phase": phase} if phase else {})}
            answer = client.get("/api/v1/jobs", asked)
            assert len(answer.json()["data"]) == 50
            whole = timed(lambda a=asked: client.get("/api/v1/jobs", a), rounds)
            print(f"{place} request      {told(*whole)}")


def audit(owner: Any, secret: str, rounds: int) -> None:
    from django.db import transaction
    from django.utils import timezone
    from rest_framework.test import APIClient

    from slipway.audit import services
    from slipway.tenancy.models import Project

    here = Project.objects.filter(pk=owner.project_id)
    fact = {"id": str(owner.project_id), "name": "default", "budget": "100.000000"}

    def change(*, recorded: bool) -> None:
        with transaction.atomic():
            here.update(name="default")
            if recorded:
                services.record(
                    at=timezone.now(), actor=owner.user_name, action="PATCH api/v1/projects/<id>",
                    subject=str(owner.project_id), organisation_id=owner.organisation_id,
                    project_id=owner.project_id, asked={"name": "default"}, before=fact,
                    after=fact, status=200, request_id="req_0123456789", origin="127.0.0.1",
                )  # fmt: skip

    for _ in range(10_000):
        change(recorded=True)
    bare: list[float] = []
    kept: list[float] = []
    spent = [0.0, 0.0]
    for _ in range(10):
        for index, (all_of, recorded) in enumerate(((bare, False), (kept, True))):
            took, cpu = timed(lambda r=recorded: change(recorded=r), max(10, rounds // 10))
            all_of.extend(took)
            spent[index] += cpu / 10
    print(f"a change          {told(bare, spent[0])}")
    print(f"with its entry    {told(kept, spent[1])}")
    print(f"so the entry adds {statistics.median(kept) - statistics.median(bare):.2f} ms, "
          f"{spent[1] - spent[0]:.2f} ms of CPU")  # fmt: skip
    client = APIClient(SERVER_NAME="localhost")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    whole = timed(lambda: client.post("/api/v1/keys", {"name": "n"}, "json"), max(10, rounds // 10))
    print(f"POST /api/v1/keys {told(*whole)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--parts", default="check,list,audit")
    asked = parser.parse_args()
    owner = postgres.project()
    from slipway.core import nudge
    from slipway.tenancy import services

    nudge._send = lambda _: None
    secret = services.issue_key(maker=owner, name="bench").secret
    parts = asked.parts.split(",")
    if "check" in parts:
        check(owner, secret, asked.rounds)
    if "list" in parts:
        pages(owner, secret, asked.jobs, asked.rounds)
    if "audit" in parts:
        audit(owner, secret, asked.rounds)


if __name__ == "__main__":
    main()
