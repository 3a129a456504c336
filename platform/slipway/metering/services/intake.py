"""Store many records of requests at once, each exactly once, as fast as the database takes them."""

from __future__ import annotations

import functools
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from slipway.metering.models import UsageRecord
from slipway.metering.services import rollups
from slipway_contracts.usage import UsageLine

#: More than this is no count but a fault, and would not fit the column.
_TOO_MANY_TOKENS = 2**31
_TABLE = UsageRecord._meta.db_table
#: Looked up in one query, where the database cannot leave out itself what it has.
_LOT = 500


class Row(NamedTuple):
    """A record as its table's columns, without the cost of a model's instance."""

    id: UUID
    created_at: datetime
    request_id: str
    project_id: UUID
    key_id: UUID
    deployment_id: UUID
    version_id: UUID
    model: str
    endpoint: str
    status: int
    stream: bool
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    latency_ms: float
    first_byte_ms: float | None


#: The same few stand in most lines.
_uuid = functools.lru_cache(maxsize=4096)(UUID)
_COLUMNS = ", ".join(f'"{name}"' for name in Row._fields)


def row_of(line: UsageLine) -> Row:
    """The row of a spooled line; ValueError or OverflowError where no request can have this."""
    if min(line.prompt_tokens, line.completion_tokens, line.status) < 0:
        raise ValueError("a count below 0")
    if max(line.prompt_tokens, line.completion_tokens) >= _TOO_MANY_TOKENS or line.status > 999:
        raise ValueError("a count that no request can have")
    if max(len(line.request_id), len(line.endpoint)) > 64 or len(line.model) > 256:
        raise ValueError("a text that is too long")
    return Row(
        uuid.uuid4(),
        datetime.fromtimestamp(line.at, tz=UTC),
        line.request_id,
        _uuid(line.project_id),
        _uuid(line.key_id),
        _uuid(line.deployment_id),
        _uuid(line.version_id),
        line.model,
        line.endpoint,
        line.status,
        line.stream,
        line.prompt_tokens,
        line.completion_tokens,
        line.estimated,
        line.latency_ms,
        line.first_byte_ms,
    )


def store(rows: Iterable[Row]) -> int:
    """Add those whose request is not known yet, and let the hourly sums grow by them; how many.

    Called in a transaction. A request that comes twice is the first one's.
    """
    once: dict[str, Row] = {}
    for row in rows:
        once.setdefault(row.request_id, row)
    if not once:
        return 0
    copied = connection.vendor == "postgresql"
    fresh = _copy(once) if copied else _insert(once)
    rollups.grow(_cells(fresh))
    return len(fresh)


def _cells(rows: Sequence[Row]) -> Counter[rollups.Cell]:
    found: Counter[rollups.Cell] = Counter()
    for row in rows:
        # It is in UTC already.
        rollups.count(found, row, row.created_at.replace(minute=0, second=0, microsecond=0))
    return found


def _copy(once: dict[str, Row]) -> list[Row]:
    """PostgreSQL: copied to a table of this transaction's own, from there what is not known."""
    with connection.cursor() as cursor:
        cursor.execute(
            f'CREATE TEMP TABLE IF NOT EXISTS arrived (LIKE "{_TABLE}") ON COMMIT DELETE ROWS'
        )
        with cursor.copy(f"COPY arrived ({_COLUMNS}) FROM STDIN") as copy:
            for row in once.values():
                copy.write_row(row)
        # In one order, so that two who add at once wait for each other instead of locking up.
        cursor.execute(
            f'INSERT INTO "{_TABLE}" ({_COLUMNS}) SELECT {_COLUMNS} FROM arrived '  # noqa: S608 - names of our own columns
            "ORDER BY request_id ON CONFLICT (request_id) DO NOTHING RETURNING request_id"
        )
        fresh = [once[request_id] for (request_id,) in cursor.fetchall()]
        cursor.execute("DELETE FROM arrived")
    return fresh


def _insert(once: dict[str, Row]) -> list[Row]:
    """SQLite: whoever writes is alone, so what is looked up stays true until it is written."""
    known: set[str] = set()
    ids = list(once)
    for start in range(0, len(ids), _LOT):
        rows = UsageRecord.objects.filter(request_id__in=ids[start : start + _LOT])
        known.update(rows.values_list("request_id", flat=True))
    fresh = [row for row in once.values() if row.request_id not in known]
    places = ", ".join(["%s"] * len(Row._fields))
    columns = [UsageRecord._meta.get_field(name) for name in Row._fields]
    with connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO "{_TABLE}" ({_COLUMNS}) VALUES ({places})',  # noqa: S608 - names of our own columns
            [
                [
                    column.get_db_prep_save(value, connection)
                    for column, value in zip(columns, row, strict=True)
                ]
                for row in fresh
            ],
        )
    return fresh
