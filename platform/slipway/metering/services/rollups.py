"""Add to the ledger, and to its hourly sums in the same transaction, so that they are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Sum

from slipway.metering.models import Entry, Kind, Rollup, UsageRecord

NOBODY = UUID(int=0)

#: hour, project, key, model, kind
_Cell = tuple[datetime, UUID, UUID, str, str]


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


def cells_of(records: Iterable[UsageRecord]) -> Counter[_Cell]:
    """What single requests add up to."""
    found: Counter[_Cell] = Counter()
    for record in records:
        place = (hour_of(record.created_at), record.project_id, record.key_id, record.model)
        found[*place, str(Kind.REQUESTS)] += 1
        found[*place, str(Kind.PROMPT_TOKENS)] += record.prompt_tokens
        found[*place, str(Kind.COMPLETION_TOKENS)] += record.completion_tokens
    return found


def grow(cells: Counter[_Cell]) -> None:
    """Add to the sums; call it in the transaction that adds the rows themselves."""
    # In one order, so that two who add at once wait for each other instead of locking up.
    for (hour, project_id, key_id, model, kind), quantity in sorted(
        cells.items(), key=lambda cell: tuple(str(part) for part in cell[0])
    ):
        if not quantity:
            continue
        place = {
            "hour": hour,
            "project_id": project_id,
            "key_id": key_id,
            "model": model,
            "kind": kind,
        }
        here = Rollup.objects.filter(**place)
        more = {"quantity": F("quantity") + quantity}
        if not here.update(**more):
            try:
                with transaction.atomic():
                    Rollup.objects.create(**place, quantity=quantity)
            except IntegrityError:
                here.update(**more)


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
