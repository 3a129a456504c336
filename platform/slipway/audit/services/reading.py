"""Search, export and verify what was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from slipway.audit.models import Digest, Entry, Head
from slipway.audit.rules import chain
from slipway.audit.services import signing

#: Names of filters to the columns they compare.
FILTERS = {"actor": "actor", "action": "action__contains", "actions": "action__in",
           "object": "subject__contains",
           "request_id": "request_id", "since": "at__gte", "until": "at__lt"}  # fmt: skip


def newest(*, rows: Any, before: int | None, limit: int) -> tuple[list[dict[str, Any]], int | None]:
    """A page of entries, newest first, and the number that the next page ends before."""
    if before is not None:
        rows = rows.filter(number__lt=before)
    found = list(rows.order_by("-number")[: limit + 1])
    bodies = [json.loads(row.body) | {"hash": row.hash} for row in found[:limit]]
    return bodies, found[limit - 1].number if len(found) > limit else None


def moment(body: dict[str, Any]) -> datetime:
    """When an entry was made."""
    return datetime.fromisoformat(body["at"])


def entries_of(
    *, project_id: UUID | None = None, organisation_id: UUID | None = None, **filters: Any
) -> Any:
    """Entries of a project or a whole organisation, as a query; FILTERS narrow it."""
    rows = Entry.objects.all()
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    if organisation_id is not None:
        rows = rows.filter(organisation_id=organisation_id)
    return rows.filter(**{FILTERS[name]: value for name, value in filters.items()})


@dataclass(frozen=True, kw_only=True)
class Act:
    """One entry, as much of it as tells where to look anew."""

    number: int
    action: str
    subject: str
    project_id: UUID | None
    organisation_id: UUID | None


def last_number() -> int:
    """Number of the newest entry, 0 where there is none."""
    newest = Entry.objects.order_by("-number").values_list("number", flat=True).first()
    return newest or 0


def acts_since(*, number: int, most: int = 1000) -> list[Act]:
    """Entries after that number, oldest first."""
    names = [each.name for each in fields(Act)]
    rows = Entry.objects.filter(number__gt=number).order_by("number").values(*names)
    return [Act(**row) for row in rows[:most]]


def _seals() -> Iterator[chain.Seal]:
    for row in Digest.objects.order_by("number"):
        at = row.at.astimezone(UTC).isoformat()
        yield chain.Seal(number=row.number, hash=row.hash, at=at, signature=row.signature)


def _lines() -> Iterator[chain.Line]:
    for row in Entry.objects.order_by("number").iterator():
        yield chain.Line(number=row.number, body=row.body, hash=row.hash)


def export_lines(*, now: datetime) -> Iterator[str]:
    """The whole log as JSON lines, sealed at its end: what `slipway audit verify` reads."""
    signing.seal(now=now)
    yield json.dumps({"format": "slipway-audit-1", "public_key": signing.public_key().hex()})
    for line in _lines():
        yield json.dumps({"number": line.number, "hash": line.hash, "body": line.body},
                         ensure_ascii=False)  # fmt: skip
    for seal in _seals():
        yield json.dumps({"seal": seal.number, "hash": seal.hash, "at": seal.at,
                          "signature": seal.signature})  # fmt: skip


def verify_stored() -> list[chain.Fault]:
    """Faults of the log as it lies in the database, its searchable columns included."""
    faults = list(chain.verify(_lines(), _seals(), signing.public_key()))
    head = Head.objects.filter(pk=1).first()
    last = Entry.objects.order_by("-number").first()
    if (head.number, head.hash) != (last.number, last.hash) if head and last else head or last:
        number = head.number if head else 0
        faults.append(chain.Fault(number=number, rule="the newest entries are not what they were"))
    for row in Entry.objects.order_by("number").iterator():
        body = json.loads(row.body)
        told = (body["actor"][:160], body["action"][:160], body["object"][:200],
                body["project"], body["organisation"])  # fmt: skip
        kept = (row.actor, row.action, row.subject,
                str(row.project_id) if row.project_id else None,
                str(row.organisation_id) if row.organisation_id else None)  # fmt: skip
        if told != kept:
            faults.append(chain.Fault(number=row.number, rule="its columns differ from its body"))
    return faults
