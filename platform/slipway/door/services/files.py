"""Files: taken in as a stream, checked where their purpose is training, read, deleted, expired."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, BinaryIO
from uuid import UUID

from django.db import transaction
from django.db.models import ProtectedError, Q, QuerySet
from django.utils import timezone

from slipway import backends
from slipway.core import lifecycle, nudge
from slipway.core.errors import Refused, TooLarge
from slipway.core.paths import printable
from slipway.datasets import services as datasets
from slipway.door.models import Batch, BatchAnswer, BatchPhase, File, FilePhase, FineTune, TunePhase
from slipway.door.services import words
from slipway.door.services.words import Bad

PREFIX = "file-"
#: What a user may upload a file for; others are for files that the platform makes.
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
MADE_PURPOSES = ("assistants_output", "batch_output", "fine-tune-results")
MOST_BYTES = 512 * 1024 * 1024
_CHUNK = 1024 * 1024
#: Recorded answers read at a time.
_PAGE = 100
_ACTIVE_TUNES = (TunePhase.VALIDATING, TunePhase.TRAINING)
_ACTIVE_BATCHES = (
    BatchPhase.VALIDATING,
    BatchPhase.IN_PROGRESS,
    BatchPhase.FINALIZING,
    BatchPhase.CANCELLING,
)


class Landing:
    """Takes a file's bytes on their way into the store; counts and hashes them."""

    def __init__(self, out: BinaryIO, key: str, most_bytes: int) -> None:
        self.key, self._out, self._most = key, out, most_bytes
        self.size_bytes = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)

    def write(self, data: bytes) -> None:
        """TooLarge as soon as there is one byte too many."""
        self.size_bytes += len(data)
        if self.size_bytes > self._most:
            raise TooLarge(f"A file here has at most {self._most} bytes; send it by POST /uploads.")
        self._sha256.update(data)
        self._md5.update(data)
        self._out.write(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()


@contextmanager
def landing(*, project_id: UUID, most_bytes: int = MOST_BYTES) -> Iterator[Landing]:
    """A new object to write into; it is there once the block ends, if it ends well."""
    key = f"files/{project_id}/{secrets.token_hex(16)}"
    with backends.objects().create(key) as out:
        yield Landing(out, key, most_bytes)


def forget_landed(landed: Landing) -> None:
    """Take away what has landed and is not kept."""
    backends.objects().delete(landed.key)


def check_purpose(purpose: str, *, listed: bool = False) -> None:
    """Bad for a purpose that no upload, or no file that is `listed`, can have."""
    known = PURPOSES + (MADE_PURPOSES if listed else ())
    if purpose not in known:
        raise Bad(
            f"{purpose[:50]!r} is not a purpose; use one of {', '.join(known)}.",
            param="purpose",
            code="invalid_purpose",
        )


def plain_name(given: str | None) -> str:
    """The last part of a path, as a row can hold it; never empty."""
    name = printable(given or "").replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].strip()
    name = "".join(c if c.isprintable() else "_" for c in name)
    return name[-255:] or "file"


def keep(
    *,
    project_id: UUID,
    landed: Landing,
    filename: str,
    purpose: str,
    now: datetime,
    lives_seconds: int | None = None,
    made_by: str = "",
) -> File:
    """The file of what has landed; rows of a fine-tune file are checked from now on.

    Call it once the landing has ended well; what it raises leaves no object behind.
    """
    try:
        with transaction.atomic():
            file = File(
                created_at=now,
                project_id=project_id,
                made_by=made_by,
                filename=filename,
                purpose=purpose,
                size_bytes=landed.size_bytes,
                sha256=landed.sha256,
                key=landed.key,
                expires_at=now + timedelta(seconds=lives_seconds) if lives_seconds else None,
                phase=FilePhase.PROCESSED,
                look_at=None,
            )
            if purpose == "fine-tune":
                _check_rows(file, now)
            file.save(force_insert=True)
            lifecycle.born(file, now=now)
            nudge.soon(File)
    except BaseException:
        backends.objects().delete(landed.key)
        raise
    return file


def _check_rows(file: File, now: datetime) -> None:
    stem = re.sub(r"[^\w.\- ]", "_", file.filename.removesuffix(".jsonl")).strip(" .-_")[:20]
    version = datasets.from_object(
        project_id=file.project_id,
        name=f"{stem or 'rows'}-{file.pk.hex}",
        key=file.key,
        filename=file.filename,
        made_by=file.made_by,
        now=now,
    )
    file.dataset_id, file.dataset_version_id = version.dataset_id, version.id
    file.phase, file.look_at = FilePhase.UPLOADED, now
    file.reason = "the rows are being checked"


def look(file: File, now: datetime) -> timedelta | None:
    """Take over what the check of its rows has found."""
    state = datasets.check_state(project_id=file.project_id, version_id=_version_of(file))
    if state is None:
        lifecycle.advance(file, FilePhase.ERROR, now=now, reason="its dataset was deleted")
    elif state.good:
        lifecycle.advance(file, FilePhase.PROCESSED, now=now, reason=state.reason)
    elif state.bad:
        lifecycle.advance(file, FilePhase.ERROR, now=now, reason=state.told)
    return timedelta(milliseconds=300)


def _version_of(file: File) -> UUID:
    if file.dataset_version_id is None:
        raise ValueError(f"{file} has no dataset")
    return file.dataset_version_id


def of(*, project_id: UUID, file_id: str, now: datetime, param: str | None = "file_id") -> File:
    """The file, or Gone: there is none, it has expired, or it is another project's."""
    key = words.row_id(PREFIX, file_id, what="File object", param=param)
    file = rows(project_id=project_id, now=now).filter(pk=key).first()
    if file is None:
        raise words.no_such("File object", file_id, param=param)
    return file


def rows(*, project_id: UUID, now: datetime, purpose: str = "") -> QuerySet[File]:
    found = File.objects.filter(project_id=project_id)
    found = found.filter(Q(expires_at=None) | Q(expires_at__gt=now))
    return found.filter(purpose=purpose) if purpose else found


def needed_by(file: File) -> str:
    """Id of a job or batch that is not done with the file; empty if there is none."""
    tunes = FineTune.objects.filter(phase__in=_ACTIVE_TUNES)
    tune = tunes.filter(Q(training_file=file) | Q(validation_file=file)).first()
    if tune is not None:
        return words.public_id("ftjob-", tune.pk)
    batches = Batch.objects.filter(phase__in=_ACTIVE_BATCHES)
    ours = Q(input_file=file) | Q(output_file=file) | Q(error_file=file)
    batch = batches.filter(ours).first()
    return words.public_id("batch_", batch.pk) if batch is not None else ""


def delete(file: File) -> None:
    """Remove file and bytes; Bad, naming who, while a job or batch still needs it."""
    with transaction.atomic():
        # Locked: who would begin to need it waits, and then finds it gone.
        File.objects.select_for_update().filter(pk=file.pk).first()
        if holder := needed_by(file):
            raise Bad(
                f"{words.public_id(PREFIX, file.pk)} is needed by {holder}; cancel that or wait "
                "until it has ended.",
                param="file_id",
                code="file_in_use",
            )
        try:
            file.delete()
        except ProtectedError:
            # Finished jobs go on naming it, so the row stays; nobody else sees it any more.
            File.objects.filter(pk=file.pk).update(expires_at=file.created_at, key="")
        transaction.on_commit(lambda: _remove_bytes(file))


def _remove_bytes(file: File) -> None:
    if file.key:
        backends.objects().delete(file.key)
    if file.dataset_id is not None and file.dataset_version_id is not None:
        try:
            datasets.delete_unpublished(project_id=file.project_id, dataset_id=file.dataset_id)
        except Refused:
            return  # someone began to use those rows as a dataset: they are theirs now


def expire(now: datetime) -> None:
    """Delete what has outlived its time and is not needed."""
    for file in File.objects.filter(expires_at__lte=now).exclude(key="").order_by("pk"):
        if not needed_by(file):
            delete(file)


def stream(file: File, *, chunk_bytes: int = _CHUNK) -> Iterator[bytes]:
    """The bytes; of a batch's file still being written, the lines recorded so far."""
    sent = 0
    for data in _stored(file.key, 0, chunk_bytes):
        sent += len(data)
        yield data
    if not growing(file):
        return
    batch = Batch.objects.filter(Q(output_file=file) | Q(error_file=file)).get()
    for data in recorded(batch, good=batch.output_file_id == file.pk):
        sent += len(data)
        yield data
    # Were the lines joined to an object under our hands, it goes on where they broke off.
    key = File.objects.filter(pk=file.pk).values_list("key", flat=True).first() or ""
    if key != file.key:
        yield from _stored(key, sent, chunk_bytes)


def growing(file: File) -> bool:
    """Whether a batch still adds lines to the file."""
    return file.purpose == "batch_output" and bool(needed_by(file))


def _stored(key: str, start: int, chunk_bytes: int) -> Iterator[bytes]:
    if key:
        with backends.objects().open(key, start=start) as body:
            while data := body.read(chunk_bytes):
                yield data


def recorded(batch: Batch, *, good: bool) -> Iterator[bytes]:
    """A batch's answers in the order they came, by pages: no reader holds the table for long."""
    rows, last = BatchAnswer.objects.filter(batch=batch, good=good), 0
    while found := list(rows.filter(pk__gt=last).order_by("pk")[:_PAGE]):
        last = found[-1].pk
        yield b"".join(answer.text.encode() + b"\n" for answer in found)


def shown(file: File) -> dict[str, Any]:
    """The File object."""
    return {
        "id": words.public_id(PREFIX, file.pk),
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": words.seconds(file.created_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": file.phase,
        "status_details": file.reason or None,
        "expires_at": words.seconds(file.expires_at),
        "sha256": file.sha256 or None,
        "same_as": _twin(file),
    }


def _twin(file: File) -> str | None:
    """Id of the earliest file of the project with the same bytes; null for that one itself."""
    if not file.sha256:
        return None
    listed = rows(project_id=file.project_id, now=timezone.now())
    first = listed.filter(sha256=file.sha256).order_by("created_at", "pk").first()
    if first is None or first.pk == file.pk:
        return None
    return words.public_id(PREFIX, first.pk)
