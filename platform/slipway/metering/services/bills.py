"""Bills: the priced sums of a month, with names, as CSV and PDF."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from slipway.core.errors import Detail, Invalid
from slipway.metering.rules import pdf
from slipway.metering.services import spend
from slipway.metering.services.rollups import NOBODY
from slipway.tenancy import services as tenancy

COLUMNS = ("number", "start", "project", "project_id", "key", "key_id", "model", "kind",
           "quantity", "amount", "per", "cost")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BillLine:
    """A line of a bill; with `start`, ids and kind one finds the ledger's rows that it sums."""

    number: int
    start: datetime
    project: str
    project_id: UUID
    key: str
    key_id: UUID
    model: str
    kind: str
    quantity: int
    amount: Decimal
    per: int
    cost: Decimal


@dataclass(frozen=True, kw_only=True)
class Bill:
    organisation: str
    month: str
    final: bool
    currency: str
    lines: tuple[BillLine, ...]

    @property
    def total(self) -> Decimal:
        return sum((line.cost for line in self.lines), Decimal(0))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(csv_of(self).encode()).hexdigest()


def month_of(text: str) -> tuple[datetime, datetime]:
    """First moments of a month (`2026-11`, UTC) and of the next; Invalid for anything else."""
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", text):
        raise Invalid(
            f"{text[:20]!r} is no month.",
            Detail(field="month", rule="YYYY-MM", value=text, fix="2026-11"),
        )
    year, month = int(text[:4]), int(text[5:])
    begin = datetime(year, month, 1, tzinfo=UTC)
    return begin, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def bill(
    *,
    organisation_id: UUID,
    organisation: str,
    project_ids: Sequence[UUID],
    month: str,
    now: datetime,
) -> Bill:
    """The bill of a month for these projects of an organisation, a line per day, key, model,
    kind and rate."""
    begin, end = month_of(month)
    found = spend.lines(
        organisation_id=organisation_id, since=begin, until=end, project_ids=project_ids
    )
    names = {project_id: tenancy.project_fact(project_id=project_id) for project_id in project_ids}
    keys: dict[UUID, str] = {}
    for project_id in project_ids:
        keys |= tenancy.key_facts(project_id=project_id)
    return Bill(
        organisation=organisation,
        month=month,
        final=now >= end,
        currency=settings.CURRENCY,
        lines=tuple(
            BillLine(
                number=number,
                start=line.start,
                project=names[line.project_id].name,
                project_id=line.project_id,
                key="" if line.key_id == NOBODY else keys.get(line.key_id, "(deleted)"),
                key_id=line.key_id,
                model=line.model,
                kind=line.kind,
                quantity=line.quantity,
                amount=line.amount,
                per=line.per,
                cost=line.cost,
            )
            for number, line in enumerate(found, 1)
        ),
    )


def csv_of(made: Bill) -> str:
    """The bill as CSV, a last line with the total; names cannot become formulas."""
    text = io.StringIO()
    write = csv.writer(text)
    write.writerow(COLUMNS)
    for line in made.lines:
        write.writerow([_cell(getattr(line, name)) for name in COLUMNS])
    write.writerow(["", "", "", "", "", "", "", "total", "", made.currency, "", _cell(made.total)])
    return text.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = str(value)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


_HEAD = "{:>5} {:10} {:14} {:14} {:18} {:18} {:>14} {:>16}"


def pdf_of(made: Bill) -> bytes:
    """The bill as PDF: a page of lines at a time, the total and the CSV's hash at its end."""
    head = [
        f"Bill {made.month}   {made.organisation}",
        "" if made.final else "PRELIMINARY: the month is not over",
        "",
        _HEAD.format("no", "day", "project", "key", "model", "kind", "quantity", made.currency),
    ]
    rows = [
        _HEAD.format(
            line.number,
            f"{line.start:%Y-%m-%d}",
            line.project[:14],
            line.key[:14],
            line.model[:18],
            line.kind[:18],
            line.quantity,
            f"{line.cost:f}",
        )
        for line in made.lines
    ]
    end = ["", f"{'total':>97} {made.total:>16f}", "", f"SHA-256 of the CSV: {made.sha256}"]
    return pdf.text_pages(head, rows + end)


def grouped(
    *,
    organisation_id: UUID,
    project_ids: Sequence[UUID],
    since: datetime,
    until: datetime,
    bucket: str,
    group_by: Sequence[str],
) -> tuple[list[dict[str, Any]], Decimal]:
    """Costs per bucket and group, oldest first, and their total."""
    sums: dict[tuple[Any, ...], Decimal] = {}
    for line in spend.lines(
        organisation_id=organisation_id,
        since=since,
        until=until,
        project_ids=project_ids,
        bucket=bucket,
    ):
        group = (line.start, *(str(getattr(line, name)) for name in group_by))
        sums[group] = sums.get(group, Decimal(0)) + line.cost
    rows = [
        {"start": group[0], "group": dict(zip(group_by, group[1:], strict=True)), "cost": cost}
        for group, cost in sorted(sums.items())
    ]
    return rows, sum(sums.values(), Decimal(0))
