"""Archives on their way into the store: begun, sent in parts by signed address, finished."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from slipway import backends
from slipway.backends.objects import MAX_PARTS, BadUpload, Missing, Part
from slipway.core import together
from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.registry.models import ModelVersion, Upload, VersionPhase

SMALLEST_PART = 8 * 1024 * 1024
LARGEST_UPLOAD = 4 * 1024**4
#: An upload that nobody finished or imported is forgotten after so long.
KEPT = timedelta(days=2)


def begin(*, project_id: UUID, filename: str, size_bytes: int) -> Upload:
    if not 0 < size_bytes <= LARGEST_UPLOAD:
        raise Invalid(
            f"An upload has 1 to {LARGEST_UPLOAD} bytes.",
            Detail(field="size_bytes", rule=f"1…{LARGEST_UPLOAD}", value=size_bytes),
        )
    part_bytes = max(SMALLEST_PART, -(-size_bytes // MAX_PARTS))
    upload = Upload(
        project_id=project_id, filename=filename, size_bytes=size_bytes, part_bytes=part_bytes
    )
    upload.store_id = backends.objects().start_upload(upload.key)
    together.begin()
    upload.save(force_insert=True)
    return upload


def upload_row(*, project_id: UUID, upload_id: UUID) -> Upload:
    found = Upload.objects.filter(pk=upload_id, project_id=project_id).first()
    if found is None:
        raise NotFound("There is no such upload in this project.")
    return found


def count_parts(upload: Upload) -> int:
    return -(-upload.size_bytes // upload.part_bytes)


def received(upload: Upload) -> Sequence[Part]:
    """Parts that are there, so that an upload can be resumed; none once it is finished."""
    if upload.finished_at is not None:
        return []
    try:
        return backends.objects().parts(upload.key, upload.store_id)
    except BadUpload:
        return []


def part_address(upload: Upload, number: int, *, seconds: int = 3600) -> str:
    if upload.finished_at is not None:
        raise Conflict("The upload is finished; its parts cannot change.")
    if not 1 <= number <= count_parts(upload):
        raise Invalid(
            f"This upload has parts 1 to {count_parts(upload)}.",
            Detail(field="number", rule=f"1…{count_parts(upload)}", value=number),
        )
    return backends.objects().sign_part(upload.key, upload.store_id, number, seconds=seconds)


def finish(upload: Upload, *, now: datetime) -> None:
    """Join the parts; Conflict naming the missing ones. Finishing twice is once."""
    if upload.finished_at is not None:
        return
    if not _joined(upload):
        try:
            _join(upload)
        except Conflict:
            # Two finishes at once: the other one may have joined them.
            if not _joined(upload):
                raise
    together.begin()
    Upload.objects.filter(pk=upload.pk, finished_at=None).update(finished_at=now)
    upload.finished_at = now


def _joined(upload: Upload) -> bool:
    """Whether an earlier finish joined the parts but died before it could say so."""
    try:
        return backends.objects().stat(upload.key).size_bytes == upload.size_bytes
    except Missing:
        return False


def _join(upload: Upload) -> None:
    have = received(upload)
    missing = sorted(set(range(1, count_parts(upload) + 1)) - {part.number for part in have})
    if missing:
        raise Conflict(
            f"{len(missing)} of {count_parts(upload)} parts have not arrived.",
            Detail(field="parts", rule="all parts", value=f"missing: {missing[:20]}",
                   fix="Send them, then finish again."),
        )  # fmt: skip
    if (total := sum(part.size_bytes for part in have)) != upload.size_bytes:
        raise Conflict(
            f"The parts have {total} bytes, {upload.size_bytes} were announced.",
            Detail(field="size_bytes", rule=str(upload.size_bytes), value=total,
                   fix="Send the parts that are too short or too long again."),
        )  # fmt: skip
    try:
        backends.objects().finish_upload(
            upload.key, upload.store_id, list(range(1, count_parts(upload) + 1))
        )
    except BadUpload as error:
        raise Conflict(f"The upload cannot be finished: {error}.") from error


def abort(upload: Upload) -> None:
    """Forget the archive; Conflict while an import reads it."""
    with transaction.atomic():
        # An import takes the same lock, so it finds the upload gone or we see that it began.
        Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if _being_read(upload):
            raise Conflict(
                "A model is being imported from this upload.",
                Detail(field="upload", rule="not in use", value=str(upload.pk),
                       fix="wait until the import has ended"),
            )  # fmt: skip
        _remove(upload)


def _remove(upload: Upload) -> None:
    upload.delete()
    transaction.on_commit(lambda: _remove_bytes(upload))


def _remove_bytes(upload: Upload) -> None:
    backends.objects().abort_upload(upload.key, upload.store_id)
    backends.objects().delete(upload.key)


def forget_old(now: datetime) -> None:
    """Remove what was uploaded long ago; imported models have their own copy."""
    old = Upload.objects.filter(created_at__lt=now - KEPT).order_by("created_at", "pk")
    for found in old:
        with transaction.atomic():
            # An import takes the same lock, so it finds the upload gone or we see that it began.
            upload = Upload.objects.select_for_update().filter(pk=found.pk).first()
            if upload and _last_touched(upload) < now - KEPT and not _being_read(upload):
                _remove(upload)


def _last_touched(upload: Upload) -> datetime:
    """When the upload was finished, or else when its last part came."""
    if upload.finished_at is not None:
        return upload.finished_at
    times = [upload.created_at, *(part.received_at for part in received(upload))]
    with suppress(Missing):
        times.append(backends.objects().stat(upload.key).modified_at)
    return max(times)


def _being_read(upload: Upload) -> bool:
    reading = ModelVersion.objects.filter(
        project_id=upload.project_id, phase=VersionPhase.IMPORTING, source__key=upload.key
    )
    return reading.exists()
