"""Store many records of requests at once, each exactly once, as fast as the database takes them."""

from __future__ import annotations

import functools
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from operator import attrgetter
from uuid import UUID

from django.db import connection

from slipway.core.parsing import unstorable
from slipway.metering.models import Kind, Rollup, UsageRecord
from slipway.metering.services import rollups
from slipway_contracts.usage import UsageLine

#: More than this is no count but a fault, and would not fit the column.
_TOO_MANY_TOKENS = 2**31
#: The year 3000: no request came in later, and every database has a date for what is before.
_TOO_LATE = 32_503_680_000
#: Looked up in one query, where the database cannot leave out itself what it has.
_LOT = 500

_TABLE, _SUMS = UsageRecord._meta.db_table, Rollup._meta.db_table
#: The columns of a record but its id and `created_at`, as the fields of a line are called too.
_NAMES = (
    "request_id", "project_id", "key_id", "deployment_id", "version_id", "model", "endpoint",
    "status", "stream", "prompt_tokens", "completion_tokens", "estimated", "latency_ms",
    "first_byte_ms",
)  # fmt: skip
_COLUMNS = ", ".join(_NAMES)
_values = attrgetter(*_NAMES)

_ARRIVED = f"""
    CREATE TEMP TABLE IF NOT EXISTS arrived ON COMMIT DELETE ROWS AS
    SELECT 0::float8 AS at, {_COLUMNS} FROM "{_TABLE}" WITH NO DATA
"""  # noqa: S608 - names of our own
#: What is not known yet goes into the ledger, and what it adds up to into the sums, which cannot
#: differ so. Both in one order, so that two who add at once wait for each other instead of locking
#: up.
_TAKE = f"""
    WITH fresh AS (
        INSERT INTO "{_TABLE}" (id, created_at, {_COLUMNS})
        SELECT gen_random_uuid(), to_timestamp(at), {_COLUMNS} FROM arrived ORDER BY request_id
        ON CONFLICT (request_id) DO NOTHING
        RETURNING created_at, project_id, key_id, model, endpoint, prompt_tokens, completion_tokens
    ), summed AS (
        SELECT date_trunc('hour', created_at, 'UTC') AS hour, project_id, key_id, model,
            count(*) AS requests,
            sum(prompt_tokens) FILTER (WHERE endpoint <> '{rollups.EMBEDDINGS}') AS asked,
            sum(prompt_tokens) FILTER (WHERE endpoint = '{rollups.EMBEDDINGS}') AS embedded,
            sum(completion_tokens) AS answered
        FROM fresh GROUP BY 1, 2, 3, 4
    ), grown AS (
        INSERT INTO "{_SUMS}" AS kept (hour, project_id, key_id, model, kind, quantity)
        SELECT hour, project_id, key_id, model, kind, quantity
        FROM summed, LATERAL (VALUES
            ('{Kind.REQUESTS}', requests), ('{Kind.PROMPT_TOKENS}', asked),
            ('{Kind.EMBEDDING_TOKENS}', embedded), ('{Kind.COMPLETION_TOKENS}', answered)
        ) AS used (kind, quantity)
        WHERE quantity > 0 ORDER BY hour, project_id, key_id, model, kind
        ON CONFLICT (project_id, hour, key_id, model, kind)
        DO UPDATE SET quantity = kept.quantity + excluded.quantity
    )
    SELECT coalesce(sum(requests), 0) FROM summed
"""  # noqa: S608 - names of our own

#: The same few stand in most lines.
_uuid = functools.lru_cache(maxsize=4096)(UUID)
_id = functools.lru_cache(maxsize=4096)(lambda text: str(UUID(text)))
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def check(line: UsageLine) -> None:
    """ValueError where no request can have used this, or the ledger could not keep it."""
    if line.prompt_tokens < 0 or line.completion_tokens < 0 or line.status < 0:
        raise ValueError("a count below 0")
    if (
        line.prompt_tokens >= _TOO_MANY_TOKENS
        or line.completion_tokens >= _TOO_MANY_TOKENS
        or line.status > 999
    ):
        raise ValueError("a count that no request can have")
    if not 0 <= line.at < _TOO_LATE:
        raise ValueError("a time that no request came in at")
    if len(line.request_id) > 64 or len(line.endpoint) > 64 or len(line.model) > 256:
        raise ValueError("a text that is too long")
    if not (line.request_id.isprintable() and _storable(line.model) and _storable(line.endpoint)):
        raise ValueError("a text that cannot be kept")
    for text in (line.project_id, line.key_id, line.deployment_id, line.version_id):
        _id(text)


@functools.lru_cache(maxsize=4096)
def _storable(text: str) -> bool:
    return unstorable(text) is None


def keys_of(lines: Iterable[UsageLine]) -> set[UUID]:
    """The keys that these requests were asked with."""
    return {_uuid(key_id) for key_id in {line.key_id for line in lines}}


def store(lines: Iterable[UsageLine]) -> int:
    """Add those whose request is not known yet, and let the hourly sums grow by them; how many.

    Called in a transaction, with lines that passed `check`. A request that comes twice is the
    first one's.
    """
    once: dict[str, UsageLine] = {}
    for line in lines:
        once.setdefault(line.request_id, line)
    if not once:
        return 0
    copied = connection.vendor == "postgresql"
    return _copy(once.values()) if copied else _insert(once)


def _copy(lines: Iterable[UsageLine]) -> int:
    """PostgreSQL: copied to a table of this connection's own; the rest is one statement there."""
    text = "".join(map(_copied, lines))
    with connection.cursor() as cursor:
        cursor.execute(_ARRIVED)
        with cursor.copy(f"COPY arrived (at, {_COLUMNS}) FROM STDIN") as copy:
            copy.write(text)
        cursor.execute(_TAKE)
        (added,) = cursor.fetchone()
        cursor.execute("DELETE FROM arrived")
    return int(added)


def _copied(line: UsageLine) -> str:
    """A line as COPY reads it: tabs between the columns, `\\N` for null."""
    first_byte = r"\N" if line.first_byte_ms is None else line.first_byte_ms
    return (
        f"{line.at}\t{line.request_id.translate(_ESCAPES)}\t{_id(line.project_id)}\t"
        f"{_id(line.key_id)}\t{_id(line.deployment_id)}\t{_id(line.version_id)}\t"
        f"{_escaped(line.model)}\t{_escaped(line.endpoint)}\t{line.status}\t{line.stream}\t{line.prompt_tokens}\t"
        f"{line.completion_tokens}\t{line.estimated}\t{line.latency_ms}\t{first_byte}\n"
    )


@functools.lru_cache(maxsize=4096)
def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _insert(once: dict[str, UsageLine]) -> int:
    """SQLite: whoever writes is alone, so what is looked up stays true until it is written."""
    known: set[str] = set()
    ids = list(once)
    for start in range(0, len(ids), _LOT):
        rows = UsageRecord.objects.filter(request_id__in=ids[start : start + _LOT])
        known.update(rows.values_list("request_id", flat=True))
    fresh = [line for line in once.values() if line.request_id not in known]
    sums: Counter[rollups.Cell] = Counter()
    rows = []
    for line in fresh:
        at = datetime.fromtimestamp(line.at, tz=UTC)
        rows.append((uuid.uuid4(), at, *_values(line)))
        hour = at.replace(minute=0, second=0, microsecond=0)
        place = (hour, _uuid(line.project_id), _uuid(line.key_id), line.model)
        rollups.count(sums, place, line)
    names = ("id", "created_at", *_NAMES)
    columns = [UsageRecord._meta.get_field(name) for name in names]
    with connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO "{_TABLE}" ({", ".join(names)}) '  # noqa: S608 - names of our own columns
            f"VALUES ({', '.join(['%s'] * len(names))})",
            [
                [
                    column.get_db_prep_save(value, connection)
                    for column, value in zip(columns, row, strict=True)
                ]
                for row in rows
            ],
        )
    rollups.grow(sums)
    return len(fresh)
