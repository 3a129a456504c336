"""Uploads in parts: any order, in parallel, joined as named, taken up again after a crash."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from slipway import backends
from slipway.backends.objects import Missing
from slipway.core import together
from slipway.core.errors import TooLarge
from slipway.door.models import File, Part, Upload, UploadStatus
from slipway.door.services import files, words
from slipway.door.services.words import Bad

PREFIX, PART_PREFIX = "upload_", "part_"
PART_BYTES = 64 * 1024 * 1024
MOST_BYTES = 8 * 1024**3
LIFE = timedelta(hours=1)
_CHUNK = 1024 * 1024


def create(
    *,
    project_id: UUID,
    filename: str,
    purpose: str,
    size_bytes: int,
    mime_type: str,
    lives_seconds: int | None,
    made_by: str,
    now: datetime,
) -> Upload:
    files.check_purpose(purpose)
    if not 0 < size_bytes <= MOST_BYTES:
        raise Bad(f"bytes must be from 1 to {MOST_BYTES}, not {size_bytes}.", param="bytes")
    return Upload.objects.create(
        created_at=now,
        project_id=project_id,
        made_by=made_by,
        filename=files.plain_name(filename),
        purpose=purpose,
        mime_type=mime_type,
        size_bytes=size_bytes,
        file_seconds=lives_seconds,
        expires_at=now + LIFE,
    )


def of(*, project_id: UUID, upload_id: str) -> Upload:
    key = words.row_id(PREFIX, upload_id, what="Upload", param="upload_id")
    found = Upload.objects.filter(pk=key, project_id=project_id).select_related("file").first()
    if found is None:
        raise words.no_such("Upload", upload_id, param="upload_id")
    return found


def pending(upload: Upload, now: datetime) -> None:
    """Bad unless parts may still come."""
    if upload.status == UploadStatus.PENDING and upload.expires_at <= now:
        upload.status = UploadStatus.EXPIRED
    if upload.status != UploadStatus.PENDING:
        raise Bad(
            f"This upload is {upload.status}; begin a new one.",
            param="upload_id",
            code="upload_not_pending",
        )


def add_part(upload: Upload, landed: files.Landing, now: datetime) -> Part:
    """Keep what has landed as a part."""
    try:
        with transaction.atomic():
            here = Upload.objects.select_for_update().get(pk=upload.pk)
            pending(here, now)
            return Part.objects.create(
                upload=here,
                created_at=now,
                key=landed.key,
                size_bytes=landed.size_bytes,
                md5=landed.md5,
            )
    except BaseException:
        backends.objects().delete(landed.key)
        raise


def complete(upload: Upload, *, part_ids: list[str], md5: str | None, now: datetime) -> Upload:
    """Join the parts in this order and make the file; asked again the same, it is the same."""
    if upload.status == UploadStatus.COMPLETED and upload.part_ids == part_ids:
        return upload
    pending(upload, now)
    parts = _named(upload, part_ids)
    found = sum(part.size_bytes for part in parts)
    if found != upload.size_bytes:
        raise Bad(
            f"The parts come to {found} bytes, but the upload was said to have "
            f"{upload.size_bytes}.",
            param="part_ids",
            code="upload_size_mismatch",
        )
    with files.landing(project_id=upload.project_id, most_bytes=MOST_BYTES) as landed:
        _join(parts, landed)
        if md5 and landed.md5 != md5.lower():
            raise Bad(
                f"The parts' MD5 is {landed.md5}, not {md5[:64]}.", param="md5", code="md5_mismatch"
            )
    _finish(upload, landed, part_ids, now)
    return upload


def _named(upload: Upload, part_ids: list[str]) -> list[Part]:
    known = {words.public_id(PART_PREFIX, part.pk): part for part in upload.parts.all()}
    if len(set(part_ids)) != len(part_ids):
        raise Bad("A part is named twice.", param="part_ids")
    for part_id in part_ids:
        if part_id not in known:
            raise Bad(f"This upload has no part {part_id[:80]!r}.", param="part_ids")
    return [known[part_id] for part_id in part_ids]


def _join(parts: list[Part], landed: files.Landing) -> None:
    for part in parts:
        try:
            with backends.objects().open(part.key) as body:
                while data := body.read(_CHUNK):
                    landed.write(data)
        except Missing as error:
            part_id = words.public_id(PART_PREFIX, part.pk)
            raise Bad(f"{part_id} is no longer there.", param="part_ids") from error
        except TooLarge as error:
            raise Bad("The parts are larger than was said.", param="part_ids") from error


def _finish(upload: Upload, landed: files.Landing, part_ids: list[str], now: datetime) -> None:
    together.begin()
    with transaction.atomic():
        here = Upload.objects.select_for_update().filter(pk=upload.pk)
        row = here.get()
        if row.status != UploadStatus.PENDING:
            # Another was faster; what we joined is not needed.
            backends.objects().delete(landed.key)
            if row.status == UploadStatus.COMPLETED and row.part_ids == part_ids:
                upload.refresh_from_db()
                return
            pending(row, now)
        file: File = files.keep(
            project_id=upload.project_id,
            landed=landed,
            filename=upload.filename,
            purpose=upload.purpose,
            lives_seconds=upload.file_seconds,
            made_by=upload.made_by,
            now=now,
        )
        here.update(status=UploadStatus.COMPLETED, part_ids=part_ids, file=file)
        transaction.on_commit(lambda: _drop_parts(upload))
    upload.refresh_from_db()


def cancel(upload: Upload, now: datetime) -> Upload:
    """No more parts; cancelling what is cancelled changes nothing."""
    if upload.status != UploadStatus.CANCELLED:
        pending(upload, now)
        here = Upload.objects.filter(pk=upload.pk, status=UploadStatus.PENDING)
        if not here.update(status=UploadStatus.CANCELLED):
            upload.refresh_from_db()
            return cancel(upload, now)
        upload.refresh_from_db()
        transaction.on_commit(lambda: _drop_parts(upload))
    return upload


def expire(now: datetime) -> None:
    """End uploads whose hour is over, and drop their parts."""
    late = Upload.objects.filter(status=UploadStatus.PENDING, expires_at__lte=now)
    for upload in late.order_by("pk"):
        if Upload.objects.filter(pk=upload.pk, status=UploadStatus.PENDING).update(
            status=UploadStatus.EXPIRED
        ):
            _drop_parts(upload)


def _drop_parts(upload: Upload) -> None:
    for part in upload.parts.order_by("pk"):
        backends.objects().delete(part.key)
        part.delete()


def shown(upload: Upload, now: datetime, *, with_parts: bool = False) -> dict[str, Any]:
    """The Upload object; `with_parts` adds what has been received, for who takes it up again."""
    late = upload.status == UploadStatus.PENDING and upload.expires_at <= now
    body = {
        "id": words.public_id(PREFIX, upload.pk),
        "object": "upload",
        "bytes": upload.size_bytes,
        "created_at": words.seconds(upload.created_at),
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": str(UploadStatus.EXPIRED) if late else upload.status,
        "expires_at": words.seconds(upload.expires_at),
        "file": files.shown(upload.file) if upload.file else None,
    }
    if with_parts:
        body["parts"] = [part_shown(part) for part in upload.parts.order_by("created_at", "pk")]
    return body


def part_shown(part: Part) -> dict[str, Any]:
    return {
        "id": words.public_id(PART_PREFIX, part.pk),
        "object": "upload.part",
        "created_at": words.seconds(part.created_at),
        "upload_id": words.public_id(PREFIX, part.upload_id),
        "bytes": part.size_bytes,
        "md5": part.md5,
    }
