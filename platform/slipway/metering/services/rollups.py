"""Add to the ledger, and to its hourly sums in the same transaction, so that they are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Sum

from slipway.metering.models import Entry, Kind, Rollup, UsageRecord
from slipway_contracts.usage import UsageLine

NOBODY = UUID(int=0)
#: Requests whose tokens are embedded, not gone on from.
EMBEDDINGS = "/v1/embeddings"

#: hour, project, key, model, kind
Cell = tuple[datetime, UUID, UUID, str, str]
_PLACE = ("hour", "project_id", "key_id", "model", "kind")
_GROW = (
    f'INSERT INTO "{Rollup._meta.db_table}" AS kept ({", ".join(_PLACE)}, quantity) '  # noqa: S608 - names of our own
    "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (project_id, hour, key_id, model, kind) "
    "DO UPDATE SET quantity = kept.quantity + excluded.quantity"
)


#: As texts, which they are stored as.
_REQUESTS, _ASKED, _EMBEDDED, _ANSWERED = map(
    str, (Kind.REQUESTS, Kind.PROMPT_TOKENS, Kind.EMBEDDING_TOKENS, Kind.COMPLETION_TOKENS)
)


def add_entry(
    *,
    key: str,
    at: datetime,
    project_id: UUID,
    kind: str,
    quantity: int,
    model: str,
    subject: str,
    key_id: UUID | None = None,
) -> bool:
    """Count a use once, whatever its `key` is called with again; tells whether it was new."""
    if quantity <= 0:
        return False
    with transaction.atomic():
        _, new = Entry.objects.get_or_create(
            key=key,
            defaults={
                "created_at": at,
                "project_id": project_id,
                "key_id": key_id,
                "kind": kind,
                "quantity": quantity,
                "model": model,
                "subject": subject,
            },
        )
        if new:
            cell = (hour_of(at), project_id, key_id or NOBODY, model, kind)
            grow(Counter({cell: quantity}))
    return new


def counted(*, subject: str, kind: str, besides: str) -> int:
    """How much of a kind the ledger has of a subject already, the entry `besides` left out."""
    rows = Entry.objects.filter(subject=subject, kind=kind).exclude(key=besides)
    return int(rows.aggregate(sum=Sum("quantity"))["sum"] or 0)


def hour_of(at: datetime) -> datetime:
    """The whole hour, in UTC, that a moment lies in."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def cells_of(records: Iterable[UsageRecord]) -> Counter[Cell]:
    """What single requests add up to."""
    found: Counter[Cell] = Counter()
    for record in records:
        hour = hour_of(record.created_at)
        count(found, (hour, record.project_id, record.key_id, record.model), record)
    return found


def count(
    found: Counter[Cell], place: tuple[datetime, UUID, UUID, str], record: UsageRecord | UsageLine
) -> None:
    """Add one request of that hour, project, key and model to `found`."""
    found[*place, _REQUESTS] += 1
    found[*place, _EMBEDDED if record.endpoint == EMBEDDINGS else _ASKED] += record.prompt_tokens
    found[*place, _ANSWERED] += record.completion_tokens


def grow(cells: Counter[Cell]) -> None:
    """Add to the sums; call it in the transaction that adds the rows themselves."""
    # In one order, so that two who add at once wait for each other instead of locking up.
    ordered = sorted((cell, quantity) for cell, quantity in cells.items() if quantity)
    fields = [Rollup._meta.get_field(name) for name in _PLACE]
    with connection.cursor() as cursor:
        cursor.executemany(
            _GROW,
            [
                [
                    *(
                        field.get_db_prep_save(value, connection)
                        for field, value in zip(fields, cell, strict=True)
                    ),
                    quantity,
                ]
                for cell, quantity in ordered
            ],
        )


def differences() -> list[str]:
    """Where the sums are not those of the ledger, in words; none if all is well."""
    truth = cells_of(UsageRecord.objects.order_by("pk").iterator())
    for entry in Entry.objects.order_by("pk").iterator():
        cell = (hour_of(entry.created_at), entry.project_id, entry.key_id or NOBODY, entry.model)
        truth[*cell, entry.kind] += entry.quantity
    kept = {
        (row.hour, row.project_id, row.key_id, row.model, row.kind): row.quantity
        for row in Rollup.objects.order_by("pk").iterator()
    }
    return [
        f"{cell}: the ledger has {truth.get(cell, 0)}, the sums {kept.get(cell, 0)}"
        for cell in {**truth, **kept}
        if truth.get(cell, 0) != kept.get(cell, 0)
    ]


def first_hour(*, project_ids: Sequence[UUID]) -> datetime | None:
    """The first hour in which one of these projects used anything."""
    rows = Rollup.objects.filter(project_id__in=project_ids).order_by("hour")
    return rows.values_list("hour", flat=True).first()
