"""What was used and what it costs, from the hourly sums: lines, totals, and what is spent."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import TruncDay, TruncHour

from slipway.metering.models import Entry, Rollup
from slipway.metering.services import prices
from slipway.metering.services.prices import Book
from slipway.tenancy import services as tenancy

#: What costs may be grouped by, beside time.
GROUPS = ("project_id", "key_id", "model", "kind")


_SPAN = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A quantity of one kind at one rate, and what it costs to a millionth."""

    start: datetime
    project_id: UUID
    #: The zero UUID where no key stands behind it.
    key_id: UUID
    model: str
    kind: str
    quantity: int
    amount: Decimal
    per: int
    cost: Decimal
    #: The span that it sums: the bucket, or the part of it in which the rate holds.
    since: datetime
    until: datetime


def lines(
    *,
    organisation_id: UUID,
    since: datetime,
    until: datetime,
    project_ids: Sequence[UUID],
    bucket: str = "day",
) -> list[Line]:
    """Priced sums per bucket (`hour` or `day`, UTC), project, key, model, kind and rate.

    `since` and `until` are whole hours. A day in which a price changes has a line for each.
    """
    held = prices.books(organisation_id=organisation_id)
    found: list[Line] = []
    for begin, end in _pieces(held, since, until):
        found += _priced(held, begin, end, project_ids, bucket)
    return sorted(found, key=_order)


def _order(line: Line) -> tuple[datetime, str, str, str, str]:
    return line.start, str(line.project_id), str(line.key_id), line.model, line.kind


def _pieces(
    held: Sequence[Book], since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """The span cut where a book begins, so that every piece has one rate per kind and model."""
    cuts = {book.valid_from for book in held if since < book.valid_from < until}
    ends = [since, *sorted(cuts), until]
    return list(itertools.pairwise(ends))


def _priced(
    held: Sequence[Book],
    begin: datetime,
    end: datetime,
    project_ids: Sequence[UUID],
    bucket: str,
) -> list[Line]:
    trunc: Any = TruncHour if bucket == "hour" else TruncDay
    rows = (
        Rollup.objects.filter(project_id__in=project_ids, hour__gte=begin, hour__lt=end)
        .annotate(start=trunc("hour", tzinfo=UTC))
        .values("start", "project_id", "key_id", "model", "kind")
        .annotate(total=Sum("quantity"))
        .order_by()
    )
    found = []
    for row in rows:
        rate = prices.rate(held, kind=row["kind"], model=row["model"], at=begin)
        found.append(
            Line(
                start=row["start"],
                project_id=row["project_id"],
                key_id=row["key_id"],
                model=row["model"],
                kind=row["kind"],
                quantity=row["total"],
                amount=rate.amount,
                per=rate.per,
                cost=rate.cost(row["total"]),
                since=max(begin, row["start"]),
                until=min(end, row["start"] + _SPAN[bucket]),
            )
        )
    return found


def spent(
    *,
    organisation_id: UUID,
    since: datetime | None,
    project_id: UUID | None = None,
    key_id: UUID | None = None,
) -> Decimal:
    """What an organisation, a project or a key has cost since a moment, to a millionth."""
    held = prices.books(organisation_id=organisation_id)
    rows = Rollup.objects.all()
    if since is not None:
        rows = rows.filter(hour__gte=since)
    if key_id is not None:
        rows = rows.filter(key_id=key_id)
    elif project_id is not None:
        rows = rows.filter(project_id=project_id)
    else:
        own = tenancy.projects_of_organisation(organisation_id=organisation_id)
        rows = rows.filter(project_id__in=[project.id for project in own])
    starts = sorted({book.valid_from for book in held})
    total = Decimal(0)
    edges: list[datetime | None] = [None, *starts]
    for index, begin in enumerate(edges):
        piece = rows if begin is None else rows.filter(hour__gte=begin)
        if index + 1 < len(edges):
            piece = piece.filter(hour__lt=edges[index + 1])
        at = begin or datetime.min.replace(tzinfo=UTC)
        for row in piece.values("model", "kind").annotate(total=Sum("quantity")).order_by():
            rate = prices.rate(held, kind=row["kind"], model=row["model"], at=at)
            total += rate.cost(row["total"])
    return total


def cost_of(*, subject: str, project_id: UUID) -> Decimal:
    """What one thing, such as a training job, has cost so far, from its rows in the ledger."""
    fact = tenancy.project_fact(project_id=project_id)
    held = prices.books(organisation_id=fact.organisation_id)
    rows = Entry.objects.filter(subject=subject, project_id=project_id)
    return sum(
        (
            prices.rate(held, kind=r.kind, model=r.model, at=r.created_at).cost(r.quantity)
            for r in rows
        ),
        Decimal(0),
    )
