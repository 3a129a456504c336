"""Everything of an organisation as one tar, with the hash of every file in it.

It is made as a stream from database and store into the store: a few megabytes are in memory,
however much there is. Rows are as they were when each was read. What is made again after a crash
is made from its start.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, BinaryIO, cast
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from slipway import backends
from slipway.backends.objects import Missing, StorageFull
from slipway.core import lifecycle, nudge, reconcile, tars
from slipway.core.errors import NotFound
from slipway.core.tars import Chunks
from slipway.leaving.models import Takeout, TakeoutPhase
from slipway.leaving.services import kinds
from slipway.metering import services as metering
from slipway.metering.services import bills
from slipway.tenancy.services import whole as tenancy

#: How long a finished archive lies there to be fetched.
KEPT = timedelta(days=7)
FORMAT = "slipway-organisation-1"
#: What of an account is taken away; nothing that opens anything.
_OF_PEOPLE = (
    "id", "username", "email", "first_name", "last_name", "is_active", "date_joined", "last_login",
    "serves_id",
)  # fmt: skip
#: Rows are written in files of about so many bytes.
PART_BYTES = 4 * 1024 * 1024
TELL_EVERY = 1.0
README = b"""Everything that belongs to one organisation of a Slipway installation.

organisation.json  whose it is and when it was taken
tables/            rows as JSON, one a line: one file or more a table
people.jsonl       accounts with a role in the organisation; no passwords
bills/             a month's bill as CSV
objects/           bytes under the keys that rows name: data sets, weights, checkpoints, files
manifest.json      size and SHA-256 of every other file, for `slipway organisation verify`

Nothing that opens anything is in here: no passwords, keys, tokens, nor digests of any.
"""


def ask(*, organisation_id: UUID, by: str) -> Takeout:
    """Begin to pack; the one being packed, where there is one."""
    with transaction.atomic():
        # The lock makes two who ask at once get one archive.
        tenancy.lock_organisation(organisation_id=organisation_id)
        mine = Takeout.objects.filter(organisation_id=organisation_id)
        made = mine.filter(phase=TakeoutPhase.MAKING).first()
        if made is None:
            made = Takeout.objects.create(
                organisation_id=organisation_id, made_by=by, phase=TakeoutPhase.MAKING,
                reason="waiting for the worker",
            )  # fmt: skip
            lifecycle.born(made, now=made.created_at)
            nudge.soon(Takeout)
    return made


def rows(*, organisation_id: UUID) -> QuerySet[Takeout]:
    return Takeout.objects.filter(organisation_id=organisation_id)


def of(*, organisation_id: UUID, takeout_id: UUID) -> Takeout:
    found = rows(organisation_id=organisation_id).filter(pk=takeout_id).first()
    if found is None:
        raise NotFound("There is no such archive of this organisation.")
    return found


def address(takeout: Takeout, *, seconds: int = 3600) -> str:
    """Where the finished archive can be fetched for so long; empty while it is not there."""
    if takeout.phase != TakeoutPhase.READY:
        return ""
    name = f"slipway-organisation-{takeout.created_at:%Y-%m-%d}.tar"
    return backends.objects().sign_get(takeout.key, seconds=seconds, filename=name)


def make(takeout: Takeout, now: datetime) -> None:
    """Write the archive; whole or not at all."""
    writer = Writer(takeout, told=_teller(takeout))
    try:
        backends.objects().put(takeout.key, cast(BinaryIO, tars.Stream(writer.chunks())))
    except (Missing, StorageFull, ValueError) as error:
        backends.objects().delete(takeout.key)
        lifecycle.advance(takeout, TakeoutPhase.FAILED, now=now, reason=str(error)[:500])
        return
    at = timezone.now()
    lifecycle.advance(
        takeout, TakeoutPhase.READY, now=at, reason="", size_bytes=writer.tar.count,
        sha256=writer.tar.sha256.hexdigest(), file_count=len(writer.tar.files), rows=writer.rows,
        expires_at=at + KEPT,
    )  # fmt: skip


def _teller(takeout: Takeout) -> Callable[[int], None]:
    """Says now and then how far it is, and keeps holding the row."""
    told_at = time.monotonic()

    def tell(count: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > TELL_EVERY:
            told_at = time.monotonic()
            reconcile.renew(takeout)
            lifecycle.annotate(takeout, reason=f"packing: {count:,} bytes so far")

    return tell


def expire(now: datetime) -> None:
    """Remove archives that lay there for their time."""
    for takeout in Takeout.objects.filter(phase=TakeoutPhase.READY, expires_at__lt=now):
        backends.objects().delete(takeout.key)
        lifecycle.advance(takeout, TakeoutPhase.EXPIRED, now=now, reason="its time is over")


class Writer:
    """Yields the archive of a takeout; its parts are in `tar` once it is through."""

    def __init__(self, takeout: Takeout, *, told: Callable[[int], None]) -> None:
        self.takeout = takeout
        self.name = tenancy.name_of(organisation_id=takeout.organisation_id)
        self.rows: dict[str, int] = {}
        self.tar = tars.Tar(at=takeout.created_at, told=told)

    def chunks(self) -> Chunks:
        return self.tar.through(self._pieces())

    def _pieces(self) -> Chunks:
        organisation_id = self.takeout.organisation_id
        yield from self.tar.small("README", README)
        yield from self._document("organisation.json", self._head())
        people = tenancy.people_of(organisation_id=organisation_id).values(*_OF_PEOPLE)
        yield from self._table("people", "people", people)
        for kind in kinds.KINDS:
            if kind.taken:
                found = kind.rows(organisation_id).values(*kind.columns)
                yield from self._table(kind.label, f"tables/{kind.label}", found)
        yield from self._bills()
        for found in kinds.stored(organisation_id):
            try:
                stream = backends.objects().open(found.key)
            except Missing:
                # It was deleted since the store listed it.
                continue
            with stream:
                name = f"objects/{found.key}"
                yield from self.tar.member(name, found.size_bytes, tars.pieces(stream))
        manifest = {"format": FORMAT, "rows": self.rows, "files": dict(self.tar.files)}
        yield from self._document("manifest.json", manifest)
        yield self.tar.end()

    def _head(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "organisation": self.name,
            "organisation_id": self.takeout.organisation_id,
            "asked_at": self.takeout.created_at,
            "asked_by": self.takeout.made_by,
        }

    def _document(self, name: str, value: Any) -> Chunks:
        text = json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1)
        return self.tar.small(name, text.encode())

    def _table(self, label: str, name: str, found: Any) -> Chunks:
        """Rows in files of bounded size; a table without rows has no file."""
        self.rows[label] = 0
        part, lines = 0, io.BytesIO()
        for row in found.iterator(chunk_size=500):
            text = json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False)
            lines.write(text.encode() + b"\n")
            self.rows[label] += 1
            if lines.tell() >= PART_BYTES:
                part += 1
                yield from self.tar.small(f"{name}-{part:05}.jsonl", lines.getvalue())
                lines = io.BytesIO()
        if lines.tell():
            last = f"{name}-{part + 1:05}.jsonl" if part else f"{name}.jsonl"
            yield from self.tar.small(last, lines.getvalue())

    def _bills(self) -> Chunks:
        """From the first month that the ledger knows to this one."""
        organisation_id, now = self.takeout.organisation_id, timezone.now()
        projects = tenancy.project_ids(organisation_id=organisation_id)
        first = metering.first_hour(project_ids=projects) or now
        for count in range(first.year * 12 + first.month - 1, now.year * 12 + now.month):
            month = f"{count // 12}-{count % 12 + 1:02}"
            made = bills.bill(
                organisation_id=organisation_id, organisation=self.name, project_ids=projects,
                month=month, now=now,
            )  # fmt: skip
            if made.lines:
                yield from self.tar.small(f"bills/{month}.csv", bills.csv_of(made).encode())
