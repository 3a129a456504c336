"""Upload in parts by signed address: plan, resume, finish, abort."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from slipway import backends
from slipway.backends.objects import SIGNED_SECONDS, BadUpload, Missing, Part
from slipway.core import nudge, together
from slipway.core.errors import Conflict, Detail, Invalid
from slipway.core.lifecycle import advance, annotate
from slipway.datasets.models import Phase, Version
from slipway.datasets.services.catalogue import folder_of
from slipway.datasets.services.facts import version_of
from slipway_contracts.formats import LIMITS


@dataclass(frozen=True, kw_only=True)
class PlannedPart:
    """One part: PUT exactly `size_bytes` to `url`, unless it was `received`."""

    number: int
    start: int
    size_bytes: int
    received: bool
    url: str


@dataclass(frozen=True, kw_only=True)
class Upload:
    version_id: UUID
    size_bytes: int
    part_size_bytes: int
    received_bytes: int
    #: The addresses are good until then; ask again for fresh ones.
    expires_at: datetime
    parts: list[PlannedPart]


def start(
    *, project_id: UUID, version_id: UUID, size_bytes: int, now: datetime, filename: str = ""
) -> Upload:
    """Plan an upload of so many bytes; asked again for the same file, it goes on where it was."""
    version = _draft(project_id, version_id)
    if not 0 < size_bytes <= LIMITS.max_file_bytes:
        fix = "an empty file has no rows" if size_bytes < 1 else "split it into several versions"
        raise Invalid(
            f"A file has 1 to {LIMITS.max_file_bytes} bytes, not {size_bytes}.",
            Detail(
                field="size_bytes", rule=f"1…{LIMITS.max_file_bytes}", value=size_bytes, fix=fix
            ),
        )
    if version.upload_id and version.upload_size_bytes == size_bytes:
        return plan(version, now=now)
    store = backends.objects()
    old_key, old_id = version.source_key, version.upload_id
    # The name is new each time: what is left of an earlier upload cannot stand in for this one.
    key = f"{folder_of(version)}source-{secrets.token_hex(6)}"
    part_bytes = LIMITS.part_bytes
    while part_bytes * LIMITS.max_parts < size_bytes:
        part_bytes *= 2
    upload_id = store.start_upload(key)
    together.begin()
    annotate(
        version,
        reason="waiting for the parts of the upload",
        source={"kind": "upload", "filename": filename[:200]},
        source_key=key,
        upload_id=upload_id,
        upload_size_bytes=size_bytes,
        upload_part_bytes=part_bytes,
    )
    if old_id:
        transaction.on_commit(lambda: _forget(old_key, old_id))
    return plan(version, now=now)


def state(*, project_id: UUID, version_id: UUID, now: datetime) -> Upload:
    """The upload under way, with fresh addresses for what is still missing."""
    return plan(_uploading(project_id, version_id), now=now)


def plan(version: Version, *, now: datetime) -> Upload:
    received = {part.number: part for part in _received(version)}
    parts = []
    store = backends.objects()
    for number, size in enumerate(_sizes(version), 1):
        there = number in received and received[number].size_bytes == size
        url = (
            ""
            if there
            else store.sign_part(
                version.source_key, version.upload_id, number, seconds=SIGNED_SECONDS
            )
        )
        parts.append(
            PlannedPart(
                number=number,
                start=(number - 1) * version.upload_part_bytes,
                size_bytes=size,
                received=there,
                url=url,
            )
        )
    return Upload(
        version_id=version.pk,
        size_bytes=version.upload_size_bytes,
        part_size_bytes=version.upload_part_bytes,
        received_bytes=sum(part.size_bytes for part in parts if part.received),
        expires_at=now + timedelta(seconds=SIGNED_SECONDS),
        parts=parts,
    )


def finish(*, project_id: UUID, version_id: UUID, now: datetime) -> Version:
    """Join the parts and let the rows be checked; Conflict names the parts still missing."""
    version = version_of(project_id=project_id, version_id=version_id)
    if version.phase != Phase.DRAFT and version.source.get("kind") == "upload":
        return version  # finished before; the answer was lost on its way
    version = _uploading(project_id, version_id)
    if not _joined(version):
        _join(version, now=now)
    together.begin()
    with transaction.atomic():
        kept = Version.objects.select_for_update().get(pk=version.pk)
        if kept.phase == Phase.DRAFT and kept.upload_id != version.upload_id:
            raise Conflict("The upload was aborted or begun anew while it was being finished.")
        reason = "waiting for the worker to check the rows"
        advance(version, Phase.CHECKING, now=now, reason=reason, upload_id="")
    nudge.soon(Version)
    return version


def _joined(version: Version) -> bool:
    """Whether an earlier finish joined the parts but died before it could say so."""
    try:
        found = backends.objects().stat(version.source_key)
    except Missing:
        return False
    return found.size_bytes == version.upload_size_bytes


def _join(version: Version, *, now: datetime) -> None:
    parts = plan(version, now=now).parts
    missing = [part for part in parts if not part.received]
    if missing:
        raise Conflict(
            f"{len(missing)} of {len(parts)} parts are still missing.",
            *(
                Detail(
                    field=f"parts[{part.number}]",
                    rule=f"{part.size_bytes} bytes",
                    value="not received",
                    fix="PUT it to its address, then finish again",
                )
                for part in missing[:20]
            ),
        )
    store = backends.objects()
    try:
        store.finish_upload(version.source_key, version.upload_id, [p.number for p in parts])
    except BadUpload as error:
        # Two finishes at once: the other one may have joined them.
        if not _joined(version):
            raise Conflict(f"The upload cannot be finished: {error}.") from error


def abort(*, project_id: UUID, version_id: UUID) -> None:
    """Forget the parts; the version is an empty draft again."""
    with transaction.atomic():
        # A finish takes the same lock: it has moved the version on, or finds the upload gone.
        Version.objects.select_for_update().filter(pk=version_id).first()
        version = _uploading(project_id, version_id)
        key, upload_id = version.source_key, version.upload_id
        annotate(
            version,
            reason="waiting for an upload or an import",
            source={},
            source_key="",
            upload_id="",
            upload_size_bytes=0,
        )
        transaction.on_commit(lambda: _forget(key, upload_id))


def last_touched(version: Version) -> datetime:
    """When the last part of its upload came, or else when the version was made."""
    parts = backends.objects().parts(version.source_key, version.upload_id)
    return max([version.created_at, *(part.received_at for part in parts)])


def _forget(key: str, upload_id: str) -> None:
    """Remove the parts, and the object if a finish that died had joined them already."""
    backends.objects().abort_upload(key, upload_id)
    backends.objects().delete(key)


def _sizes(version: Version) -> list[int]:
    whole, rest = divmod(version.upload_size_bytes, version.upload_part_bytes)
    return [version.upload_part_bytes] * whole + ([rest] if rest else [])


def _received(version: Version) -> Sequence[Part]:
    try:
        return backends.objects().parts(version.source_key, version.upload_id)
    except BadUpload as error:
        raise Conflict(
            "This upload is no longer known to the store; abort it and start anew.",
            Detail(field="upload", rule="known to the store", value=version.upload_id),
        ) from error


def _draft(project_id: UUID, version_id: UUID) -> Version:
    version = version_of(project_id=project_id, version_id=version_id)
    if version.phase != Phase.DRAFT:
        raise Conflict(
            f"This version has its rows already (it is {version.phase}); add another version.",
            Detail(field="phase", rule="draft", value=version.phase),
        )
    return version


def _uploading(project_id: UUID, version_id: UUID) -> Version:
    version = _draft(project_id, version_id)
    if not version.upload_id:
        raise Conflict(
            "No upload is under way for this version.",
            Detail(field="upload", rule="started", fix=f"POST …/{version.pk}/upload first"),
        )
    return version
