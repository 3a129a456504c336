"""Take in what the gateways spooled, exactly once; add up what was used."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDay, TruncHour, TruncMinute

from slipway.core import spools
from slipway.core.errors import NotFound
from slipway.metering.models import SpoolFile, UsageRecord
from slipway.metering.services import intake
from slipway.tenancy import services as tenancy
from slipway_contracts.usage import UsageLine

logger = logging.getLogger(__name__)

#: How long we remember a file that is gone.
_FORGET_AFTER = timedelta(days=1)

BUCKETS = {"hour": TruncHour, "day": TruncDay}
#: What totals may be grouped by.
GROUPS = ("model", "key_id", "deployment_id", "version_id", "endpoint", "status")

_lines = msgspec.json.Decoder(UsageLine)


class _LostRace(Exception):
    """Another worker takes in the same file; its work is as good as ours."""


@dataclass(frozen=True, kw_only=True)
class Total:
    """What a group of requests used from `start` on, for one bucket."""

    start: datetime
    group: dict[str, Any]
    requests: int
    #: Requests that ended in a status of 400 or above.
    failed: int
    prompt_tokens: int
    completion_tokens: int


def ingest_spool(*, now: datetime, directory: Path | None = None) -> int:
    """Take in all spooled records; returns how many were new. Safe to run twice at once.

    A record is known by its request id and a file by how far it was read, both stored in one
    transaction; a file whose writer is gone is deleted once it is read to its end.
    """
    directory = directory or settings.USAGE_SPOOL
    added = 0
    for path in sorted(directory.glob("*.jsonl")):
        try:
            added += _take_in(path, now)
        except _LostRace:
            logger.info("another worker takes in %s", path.name)
        except FileNotFoundError:
            logger.info("another worker finished %s", path.name)
    return added


def taken_in(*, names: Iterable[str], directory: Path | None = None) -> dict[str, int | None]:
    """How many bytes of these spool files are in the ledger; None for one that is all in it."""
    directory = directory or settings.USAGE_SPOOL
    there = {name for name in names if (directory / name).exists()}
    # In this order: a file that is gone by now had a row until its last record was stored.
    rows = SpoolFile.objects.filter(name__in=there).values_list("name", "offset_bytes")
    offsets: dict[str, int] = dict(rows)
    return {name: offsets.get(name, 0) if name in there else None for name in names}


def forget_finished(*, now: datetime, directory: Path | None = None) -> None:
    """Drop what we know of spool files that have been gone for a day."""
    directory = directory or settings.USAGE_SPOOL
    for row in SpoolFile.objects.filter(seen_at__lt=now - _FORGET_AFTER).order_by("pk"):
        if not (directory / row.name).exists():
            row.delete()


def _take_in(path: Path, now: datetime) -> int:
    row, _ = SpoolFile.objects.get_or_create(name=path.name, defaults={"seen_at": now})
    added = 0

    def store(offset: int, data: bytes) -> None:
        nonlocal added
        added += _store(path, offset, data, now)

    if spools.take_in(path, offset=row.offset_bytes, store=store):
        row.delete()
    return added


def _store(path: Path, offset: int, data: bytes, now: datetime) -> int:
    lines = []
    for raw in data.splitlines():
        try:
            line = _lines.decode(raw)
            intake.check(line)
        except (msgspec.DecodeError, ValueError) as error:
            spools.reject(path, offset, raw, str(error))
        else:
            lines.append(line)
    with transaction.atomic():
        here = SpoolFile.objects.filter(name=path.name, offset_bytes=offset)
        if not here.update(offset_bytes=offset + len(data), seen_at=now):
            raise _LostRace(path.name)
        added = intake.store(lines)
        tenancy.note_key_use(key_ids=intake.keys_of(lines), now=now)
    return added


def records_of(*, project_id: UUID, **filters: Any) -> Any:
    """The project's records as a query; `since`, `until` and any field in GROUPS narrow it."""
    query = UsageRecord.objects.filter(project_id=project_id)
    if (since := filters.pop("since", None)) is not None:
        query = query.filter(created_at__gte=since)
    if (until := filters.pop("until", None)) is not None:
        query = query.filter(created_at__lt=until)
    return query.filter(**filters)


def requests_of(
    *,
    project_ids: Sequence[UUID],
    endpoints: Sequence[str],
    since: datetime,
    until: datetime,
    bucket: str,
    models: Sequence[str] = (),
    key_ids: Collection[UUID] | None = None,
) -> list[Total]:
    """Requests of several projects per bucket (`minute` too), project, key and model."""
    rows = UsageRecord.objects.filter(
        project_id__in=project_ids,
        endpoint__in=endpoints,
        created_at__gte=since,
        created_at__lt=until,
    )
    if models:
        rows = rows.filter(model__in=models)
    if key_ids is not None:
        rows = rows.filter(key_id__in=key_ids)
    return totals(records=rows, bucket=bucket, group_by=("project_id", "key_id", "model"))


def totals(*, records: Any, bucket: str, group_by: Iterable[str]) -> list[Total]:
    """Sums per bucket (a key of BUCKETS, or `minute`, in UTC) and group, oldest first."""
    names = list(group_by)
    trunc: Any = TruncMinute if bucket == "minute" else BUCKETS[bucket]
    rows = (
        records.annotate(start=trunc("created_at", tzinfo=UTC))
        .values("start", *names)
        .annotate(
            requests=Count("id"),
            failed=Count("id", filter=Q(status__gte=400)),
            prompt=Sum("prompt_tokens"),
            completion=Sum("completion_tokens"),
        )
        .order_by("start", *names)
    )
    return [
        Total(
            start=row["start"],
            group={name: row[name] for name in names},
            requests=row["requests"],
            failed=row["failed"],
            prompt_tokens=row["prompt"],
            completion_tokens=row["completion"],
        )
        for row in rows
    ]


def was_asked(*, project_id: UUID, deployment_id: UUID, since: datetime) -> bool:
    """Whether a deployment answered a request that came in since then."""
    found = UsageRecord.objects.filter(project_id=project_id, created_at__gte=since)
    return found.filter(deployment_id=deployment_id).exists()


def answers_of(*, deployment_id: UUID, since: datetime) -> tuple[int, int]:
    """How many requests a deployment answered well since then, and how many it failed."""
    found = UsageRecord.objects.filter(deployment_id=deployment_id, created_at__gte=since)
    good, bad = Count("id", filter=Q(status__lt=400)), Count("id", filter=Q(status__gte=500))
    seen = found.aggregate(good=good, bad=bad)
    return seen["good"], seen["bad"]


def record_of(*, project_id: UUID, request_id: str) -> UsageRecord:
    """The record of one request; NotFound if the project has none of that id."""
    record = UsageRecord.objects.filter(project_id=project_id, request_id=request_id).first()
    if record is None:
        raise NotFound(
            f"No request {request_id[:64]!r} is recorded in this project; records arrive a second "
            "or two after the answer, and only for requests that were let in."
        )
    return record
