"""Write a version out in another format, whole or not at all, and give it by signed address."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO
from uuid import UUID

import msgspec

from slipway import backends
from slipway.backends.objects import SIGNED_SECONDS
from slipway.core import nudge
from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.core.lifecycle import born
from slipway.datasets.models import ErrandPhase, Export, Phase, Version
from slipway.datasets.services import rows
from slipway.datasets.services.catalogue import folder_of
from slipway.datasets.services.checking import Progress
from slipway.datasets.services.facts import checked_version_of, version_of
from slipway_contracts.formats import CANONICAL, CATALOGUE, Fault, Format, RowKind, write

#: Faults kept of an export that cannot be.
_SHOWN_FAULTS = 100
_SUFFIX = {info.name: info.suffix for info in CATALOGUE}


class CannotCarry(Exception):
    """The format has no place for what is in the rows; says so, row by row."""

    def __init__(self, count: int, faults: list[dict[str, Any]]) -> None:
        super().__init__(f"{count} rows do not fit the format")
        self.count, self.faults = count, faults


@dataclass(frozen=True, kw_only=True)
class Download:
    """An address that anyone who has it may GET until it expires."""

    url: str
    expires_at: datetime
    filename: str
    size_bytes: int


def start(*, project_id: UUID, version_id: UUID, target: str, now: datetime) -> Export:
    """Let the worker write the version in a format; the same one again is the same export."""
    version = checked_version_of(project_id=project_id, version_id=version_id)
    if target not in set(Format):
        raise Invalid(
            f"There is no format {target!r}.",
            Detail(field="format", rule=", ".join(Format), value=target),
        )
    found = (
        Export.objects.filter(version=version, format=target)
        .exclude(phase=ErrandPhase.FAILED)
        .order_by("created_at", "pk")
        .first()
    )
    if found is not None:
        return found
    ready = target == CANONICAL[RowKind(version.kind)]
    export = Export.objects.create(
        project_id=project_id,
        version=version,
        format=target,
        phase=ErrandPhase.DONE if ready else ErrandPhase.QUEUED,
        reason="the canonical file" if ready else "waiting for the worker",
        look_at=None if ready else now,
        key=version.canonical_key if ready else "",
        rows=version.rows if ready else 0,
        size_bytes=version.size_bytes if ready else 0,
    )
    born(export, now=now, reason=export.reason)
    nudge.soon(Export)
    return export


def export_of(*, project_id: UUID, export_id: UUID) -> Export:
    found = (
        Export.objects.filter(pk=export_id, project_id=project_id)
        .select_related("version__dataset")
        .first()
    )
    if found is None:
        raise NotFound("There is no such export in this project.")
    return found


def download(export: Export, *, now: datetime) -> Download | None:
    """The address of a finished export; None while there is nothing to fetch."""
    if export.phase != ErrandPhase.DONE:
        return None
    suffix = _SUFFIX[Format(export.format)]
    name = f"{_label(export.version)}-{export.format}{suffix}"
    return _signed(export.key, name, export.size_bytes, now)


def corrected(*, project_id: UUID, version_id: UUID, now: datetime) -> Download:
    """The corrected file of an invalid version: faults mended, hopeless rows left out."""
    version = version_of(project_id=project_id, version_id=version_id)
    if version.phase != Phase.INVALID or not version.rows:
        raise Conflict(
            "Only an invalid version with rows that could be kept has a corrected file.",
            Detail(field="phase", rule="invalid, rows > 0", value=version.phase),
        )
    name = f"{_label(version)}-corrected.jsonl"
    return _signed(version.canonical_key, name, version.size_bytes, now)


def write_out(export: Export, progress: Progress) -> tuple[str, int, int]:
    """Write the file; returns its key, rows and bytes. CannotCarry leaves nothing behind."""
    version = export.version
    key = f"{folder_of(version)}exports/{export.format}-{secrets.token_hex(6)}"
    store = backends.objects()
    with store.create(key) as out:
        encode = _encode_csv if export.format == Format.CSV else _encode_json
        count = encode(version, Format(export.format), out, progress)
    return key, count, store.stat(key).size_bytes


def _written(version: Version, target: Format, progress: Progress) -> Iterator[Any]:
    """Each row in the target format; CannotCarry at the end if there was one that does not fit."""
    misfits = 0
    faults: list[dict[str, Any]] = []
    with rows.lines_from(version) as lines:
        for number, line in enumerate(lines, 1):
            value, problems = write(msgspec.json.decode(line), target)
            if problems:
                misfits += 1
                room = _SHOWN_FAULTS - len(faults)
                faults += [fault.at(line=number).as_dict() for fault in problems[:room]]
            elif not misfits:
                yield value
            if not number % 10_000:
                progress(0, number)
    if misfits:
        raise CannotCarry(misfits, faults)


def _encode_json(version: Version, target: Format, out: BinaryIO, progress: Progress) -> int:
    count = 0
    for value in _written(version, target, progress):
        out.write(msgspec.json.encode(value) + b"\n")
        count += 1
    return count


def _encode_csv(version: Version, target: Format, out: BinaryIO, progress: Progress) -> int:
    columns: dict[str, None] = {}
    for cells in _written(version, target, progress):
        columns |= dict.fromkeys(cells)
    first = [name for name in ("system", "prompt", "response", "text") if name in columns]
    names = first + [name for name in columns if name not in first]
    _refuse_columns(names)
    count = 0
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=False)
    try:
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        for cells in _written(version, target, progress):
            writer.writerow(cells)
            count += 1
    finally:
        text.detach()
    return count


def _refuse_columns(names: list[str]) -> None:
    """Columns are read back lower-case and trimmed; names that would change are refused."""
    bad = [name for name in names if name != name.strip().lower()]
    if bad:
        fix = "a column's name is lower-case there; export it as openai"
        fault = Fault(rule="cannot_carry", path=f"$.{bad[0]}", value=bad[0], fix=fix)
        raise CannotCarry(1, [fault.as_dict()])


def _label(version: Version) -> str:
    return f"{version.dataset.name}-{version.number}".replace(" ", "-")


def _signed(key: str, name: str, size_bytes: int, now: datetime) -> Download:
    url = backends.objects().sign_get(key, seconds=SIGNED_SECONDS, filename=name)
    expires_at = now + timedelta(seconds=SIGNED_SECONDS)
    return Download(url=url, expires_at=expires_at, filename=name, size_bytes=size_bytes)
