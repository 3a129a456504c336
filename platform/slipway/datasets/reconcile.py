"""Carry versions, exports and leak checks from one phase to the next; remove what is orphaned."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.utils import timezone

from slipway import backends
from slipway.backends.objects import BadUpload, StorageFull
from slipway.core import reconcile
from slipway.core.lifecycle import LostRace, advance, annotate
from slipway.core.models import Tracked
from slipway.datasets.models import ErrandPhase, Export, LeakCheck, Phase, Version
from slipway.datasets.services import catalogue, exports, fetch, imports, leaks, uploads
from slipway.datasets.services.checking import Outcome, Progress
from slipway.metering import services as metering
from slipway.tenancy.services import retention

#: Seconds between two notes of progress; each also renews the lease.
_NOTE_SECONDS = 2.0
#: A draft whose upload nobody finished in this time loses its parts.
_UPLOAD_LIFE = timedelta(days=7)
#: Objects of no version are left alone for this long: a row may be about to point at them.
_ORPHAN_AGE = timedelta(days=1)
_FULL_PAUSE = timedelta(seconds=30)
#: What a check finds and a version keeps under the same name.
_FOUND = [
    "format",
    "kind",
    "rows",
    "size_bytes",
    "sha256",
    "fault_count",
    "faulty_rows",
    "dropped_rows",
    "warning_count",
    "faults_by_rule",
    "statistics",
]


def look_at_version(version: Version, _now: datetime) -> timedelta | None:
    """Fetch the bytes, then check them; both start over if this worker dies meanwhile."""
    try:
        match version.phase:
            case Phase.IMPORTING:
                _import(version)
            case Phase.CHECKING:
                _check(version)
    except StorageFull as full:
        annotate(version, reason=f"waiting for room in the object store: {full}")
        return _FULL_PAUSE
    return None


def _import(version: Version) -> None:
    try:
        key = imports.fetch_source(version, _progress(version, "fetching"))
    except fetch.FetchFailed as error:
        advance(version, Phase.FAILED, now=timezone.now(), reason=str(error))
        return
    _advance_or_clean(
        version,
        Phase.CHECKING,
        [key],
        reason="waiting for the worker to check the rows",
        source_key=key,
        bytes_done=0,
        rows_done=0,
    )


def _check(version: Version) -> None:
    outcome, keys = imports.check(version, _progress(version, "checking"))
    good = outcome.fault_count == 0
    _advance_or_clean(
        version,
        Phase.VALID if good else Phase.INVALID,
        list(keys.values()),
        reason=_verdict(outcome),
        checked_at=timezone.now(),
        bytes_done=outcome.size_bytes,
        rows_done=outcome.rows,
        **keys,
        **{name: getattr(outcome, name) for name in _FOUND},
    )


def _verdict(outcome: Outcome) -> str:
    if not outcome.fault_count:
        return f"{outcome.rows} rows, no faults"
    if not outcome.rows and not outcome.faulty_rows:
        return f"the file cannot be read: see its {outcome.fault_count} faults"
    mended = outcome.faulty_rows - outcome.dropped_rows
    return (
        f"{outcome.fault_count} faults in {outcome.faulty_rows} rows; the corrected file has "
        f"{outcome.rows} rows, {mended} of them mended, {outcome.dropped_rows} left out"
    )


def _advance_or_clean(version: Version, target: str, keys: list[str], **fields: Any) -> None:
    """Move on with what was written, or, if someone else was first, take it away again."""
    try:
        advance(version, target, now=timezone.now(), **fields)
    except LostRace:
        for key in keys:
            backends.objects().delete(key)
        raise


def _progress(version: Version, doing: str) -> Progress:
    """Notes how far a step has come, and keeps the lease; LostRace once it is not ours."""

    def note(done: int, rows: int) -> None:
        # Guarded by phase: a version that was deleted or moved on stops the work.
        reason = f"{doing}: {rows} rows, {done} bytes so far"
        annotate(version, reason=reason, bytes_done=done, rows_done=rows)

    return _leased(version, note)


def _leased(record: Tracked, note: Callable[[int, int], None]) -> Progress:
    last = time.monotonic()

    def progress(done: int, rows: int) -> None:
        nonlocal last
        if time.monotonic() - last < _NOTE_SECONDS:
            return
        last = time.monotonic()
        reconcile.renew(record)
        note(done, rows)

    return progress


def look_at_export(export: Export, _now: datetime) -> timedelta | None:
    def note(_done: int, rows: int) -> None:
        annotate(export, reason=f"writing: {rows} rows so far")

    try:
        key, rows, size = exports.write_out(export, _leased(export, note))
    except exports.CannotCarry as error:
        reason = f"{error}; the first: {error.faults[0]['path']}, {error.faults[0]['fix']}"
        advance(export, ErrandPhase.FAILED, now=timezone.now(), reason=reason, faults=error.faults)
        return None
    except StorageFull as full:
        annotate(export, reason=f"waiting for room in the object store: {full}")
        return _FULL_PAUSE
    fields = {"key": key, "rows": rows, "size_bytes": size}
    advance(export, ErrandPhase.DONE, now=timezone.now(), reason=f"{rows} rows", **fields)
    return None


def look_at_leak_check(check: LeakCheck, now: datetime) -> timedelta | None:
    waiting = {Phase.DRAFT, Phase.IMPORTING, Phase.CHECKING}
    for version in (check.version, check.other):
        label = f"version {version.number}"
        if version.phase in waiting:
            annotate(check, reason=f"waiting until {label} is checked; it is {version.phase}")
            return timedelta(seconds=1)
        if version.phase not in {Phase.VALID, Phase.PUBLISHED}:
            reason = f"{label} is {version.phase}; there are no good rows to compare"
            advance(check, ErrandPhase.FAILED, now=now, reason=reason)
            return None

    def note(_done: int, rows: int) -> None:
        annotate(check, reason=f"comparing: {rows} rows so far")

    found = leaks.find(check, _leased(check, note))
    reason = f"{found.leaking_rows} rows have a likeness in the other version"
    advance(
        check,
        ErrandPhase.DONE,
        now=timezone.now(),
        reason=reason,
        pair_count=found.pair_count,
        leaking_rows=found.leaking_rows,
        pairs=found.pairs,
    )
    return None


def sweep(now: datetime) -> None:
    """Empty the bin; drop what nobody finished, and objects of no version; count what is kept."""
    metering.count_storage(what="datasets", sizes=_sizes, now=now)
    for project_id, until in retention.cuts("bin", now):
        catalogue.empty_bin(until=until, project_id=project_id)
    store = backends.objects()
    stale = Version.objects.filter(phase=Phase.DRAFT, created_at__lt=now - _UPLOAD_LIFE)
    for version in stale.exclude(upload_id="").order_by("created_at", "pk"):
        with suppress(BadUpload):
            if uploads.last_touched(version) > now - _UPLOAD_LIFE:
                continue
        store.abort_upload(version.source_key, version.upload_id)
        reason = f"the upload was not finished within {_UPLOAD_LIFE.days} days"
        advance(version, Phase.FAILED, now=now, reason=reason, upload_id="")
    store.tidy(before=now - _UPLOAD_LIFE - _ORPHAN_AGE)
    owned: dict[str, set[str] | None] = {}
    for found in store.list("datasets/"):
        if found.modified_at > now - _ORPHAN_AGE:
            continue
        folder = found.key.split("/")[2]
        if folder not in owned:
            owned[folder] = _keys_of(folder)
        keys = owned[folder]
        if keys is None or found.key not in keys:
            store.delete(found.key)


def _sizes() -> dict[UUID, int]:
    """Bytes of rows by project."""
    kept = Version.objects.exclude(canonical_key="").order_by()
    sums = kept.values_list("project_id").annotate(Sum("size_bytes"))
    return {project_id: size for project_id, size in sums if size}


def _keys_of(version_id: str) -> set[str] | None:
    """Every object that the version points at; None if there is no such version."""
    try:
        version = Version.objects.filter(pk=UUID(version_id)).first()
    except ValueError:
        return None
    if version is None:
        return None
    keys = {
        version.source_key,
        version.canonical_key,
        version.index_key,
        version.faults_key,
    }
    return keys | set(Export.objects.filter(version=version).values_list("key", flat=True))


WATCHED: list[tuple[type[Tracked], reconcile.Step]] = [
    (Version, look_at_version),
    (Export, look_at_export),
    (LeakCheck, look_at_leak_check),
]
