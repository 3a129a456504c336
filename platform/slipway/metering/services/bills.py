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

from slipway.audit import services as audit
from slipway.core.errors import Detail, Invalid, NotFound
from slipway.metering.models import Entry, UsageRecord
from slipway.metering.rules import pdf, signed
from slipway.metering.services import spend
from slipway.metering.services.rollups import EMBEDDINGS, NOBODY
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
    #: The span of the rows that it sums: its day, or the part of it with one price.
    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Bill:
    organisation: str
    organisation_id: UUID
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
        organisation_id=organisation_id,
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
                since=line.since,
                until=line.until,
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


def signature_of(made: Bill) -> dict[str, Any]:
    """The bill's facts and the hashes of its files, with the installation's signature over both."""
    facts = {
        "format": signed.FORMAT,
        "organisation": made.organisation,
        "organisation_id": str(made.organisation_id),
        "month": made.month,
        "final": made.final,
        "currency": made.currency,
        "total": f"{made.total:f}",
        "lines": len(made.lines),
        "csv_sha256": made.sha256,
        "pdf_sha256": hashlib.sha256(pdf_of(made)).hexdigest(),
    }
    signature = audit.sign(signed.text_of(facts))
    return facts | {"signature": signature.hex(), "public_key": audit.public_key().hex()}


@dataclass(frozen=True, kw_only=True)
class TracedRow:
    """A row of the ledger that a line sums: a request, or an entry of what else was used."""

    id: UUID
    created_at: datetime
    #: `req_…` of a request; what used it otherwise, such as `training job <id>`.
    subject: str
    quantity: int


#: Kinds that requests are counted by, and the column of each; None counts the requests.
_OF_REQUESTS = {
    "requests": None,
    "prompt_tokens": "prompt_tokens",
    "embedding_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
}


def rows_of(made: Bill, number: int) -> Any:
    """The rows that a line sums, as a query; NotFound for a line that is not there."""
    line = next((line for line in made.lines if line.number == number), None)
    if line is None:
        raise NotFound(f"The bill has {len(made.lines)} lines; there is no line {number}.")
    span = {
        "project_id": line.project_id,
        "model": line.model,
        "created_at__gte": line.since,
        "created_at__lt": line.until,
    }
    if line.kind in _OF_REQUESTS:
        rows = UsageRecord.objects.filter(key_id=line.key_id, **span)
        if line.kind == "embedding_tokens":
            rows = rows.filter(endpoint=EMBEDDINGS)
        if line.kind == "prompt_tokens":
            rows = rows.exclude(endpoint=EMBEDDINGS)
        # Requests that used none of it add nothing.
        field = _OF_REQUESTS[line.kind]
        return rows.exclude(**{field: 0}) if field else rows
    key = None if line.key_id == NOBODY else line.key_id
    return Entry.objects.filter(kind=line.kind, key_id=key, **span)


def traced(row: Any, kind: str) -> TracedRow:
    """One of those rows, and how much of the line it is."""
    if isinstance(row, Entry):
        return TracedRow(
            id=row.pk, created_at=row.created_at, subject=row.subject, quantity=row.quantity
        )
    field = _OF_REQUESTS[kind]
    quantity = getattr(row, field) if field else 1
    return TracedRow(
        id=row.pk, created_at=row.created_at, subject=row.request_id, quantity=quantity
    )


_WIDTHS = (5, 10, 14, 14, 18, 18, 14, 16)


def _row(*cells: str) -> str:
    """Cells in their columns; figures, which are the first and the last two, to the right."""
    shown = []
    for place, (text, width) in enumerate(zip(cells, _WIDTHS, strict=True)):
        right = place in {0, 6, 7}
        shown.append(text.rjust(width) if right else pdf.cell(text, width))
    return " ".join(shown)


def pdf_of(made: Bill) -> bytes:
    """The bill as PDF: a page of lines at a time, the total and the CSV's hash at its end."""
    head = [
        f"Bill {made.month}   {made.organisation}",
        "" if made.final else "PRELIMINARY: the month is not over",
        "",
        _row("no", "day", "project", "key", "model", "kind", "quantity", made.currency),
    ]
    rows = [
        _row(
            str(line.number),
            f"{line.start:%Y-%m-%d}",
            line.project,
            line.key,
            line.model,
            line.kind,
            str(line.quantity),
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
