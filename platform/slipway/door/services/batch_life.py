"""Walks a batch through its life: read, asked in turns, written out, whatever cuts it short."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from slipway import backends
from slipway.core import lifecycle, reconcile
from slipway.door.models import Batch, BatchAnswer, BatchLine, BatchPhase, File, LineState
from slipway.door.services import batch_asking, batch_lines, batches, files
from slipway.door.services.files import Landing

_PAGE = 500
_LEFT = {
    BatchPhase.EXPIRED: ("batch_expired", "The completion window ended before it was executed."),
    BatchPhase.CANCELLED: ("batch_cancelled", "The batch was cancelled before it was executed."),
}


def look(batch: Batch, now: datetime) -> timedelta | None:
    match batch.phase:
        case BatchPhase.VALIDATING:
            _validate(batch, now)
        case BatchPhase.IN_PROGRESS:
            return _go_on(batch, now)
        case BatchPhase.FINALIZING:
            _close(batch, BatchPhase.COMPLETED, "completed_at")
        case BatchPhase.CANCELLING:
            return _end(batch, BatchPhase.CANCELLED, "cancelled_at", batch.cancelling_at or now)
    return None


def _validate(batch: Batch, now: datetime) -> None:
    if batch.input_file.size_bytes > batches.MOST_BYTES:
        found = batch_lines.Outcome()
        text = f"The input has {batch.input_file.size_bytes} bytes; at most {batches.MOST_BYTES}."
        found.fault("file_too_large", text, line=None)
    else:
        found = batch_lines.read(batch, lambda: reconcile.renew(batch))
    now = timezone.now()
    if found.errors:
        first = found.errors[0]
        where = f"line {first['line']}: " if first["line"] else ""
        with transaction.atomic():
            BatchLine.objects.filter(batch=batch).delete()
            lifecycle.advance(
                batch, BatchPhase.FAILED, now=now, reason=f"{where}{first['message']}",
                errors=found.errors, failed_at=now,
            )  # fmt: skip
        return
    lifecycle.advance(
        batch,
        BatchPhase.IN_PROGRESS,
        now=now,
        reason="waiting for its turn",
        total=found.total,
        model=found.model,
        in_progress_at=now,
        resumed_at=now,
    )


def _go_on(batch: Batch, now: datetime) -> timedelta | None:
    waiting = BatchLine.objects.filter(batch=batch, state=LineState.WAITING)
    if not waiting.exists():
        lifecycle.advance(
            batch, BatchPhase.FINALIZING, now=now, reason="writing its files", finalizing_at=now
        )
        return None
    if batch.expires_at <= now:
        return _end(batch, BatchPhase.EXPIRED, "expired_at", batch.expires_at)
    if not batch_asking.is_next(batch, now):
        lifecycle.annotate(batch, reason="waiting for its turn")
        return timedelta(milliseconds=200)
    return batch_asking.take_turn(batch, now)


def _end(batch: Batch, target: str, stamp: str, since: datetime) -> timedelta | None:
    """Close what ended before its time; answers under way are paid for, and waited for."""
    waited = (timezone.now() - since).total_seconds()
    late = waited > batch_asking.LAST_OF_ALL_SECONDS
    if batch_asking.still_asked(batch, hang_up=late):
        return timedelta(seconds=1)
    _close(batch, target, stamp)
    return None


def _close(batch: Batch, target: str, stamp: str) -> None:
    """Write both files whole and let the batch rest; cut short, it is done anew."""
    now = timezone.now()
    answers = BatchAnswer.objects.filter(batch=batch)
    count = answers.count()
    changes: dict[str, Any] = {stamp: now}
    landed: dict[str, Landing] = {}
    old = batch.output_file.key if batch.output_file else ""
    try:
        if batch.output_file is not None and answers.filter(good=True).exists():
            landed["output_file"] = _written(batch, _output(batch, old))
        left = batch.total and target in _LEFT and _waiting(batch).exists()
        if left or answers.filter(good=False).exists():
            landed["error_file"] = _written(batch, _errors(batch, target))
        with transaction.atomic():
            _check_no_more_came(batch, count)
            for field, landing in landed.items():
                file_id = batch_asking.growing_file(batch, good=field == "output_file")
                _fill(batch, file_id, landing, now)
            answers.delete()
            lifecycle.advance(batch, target, now=now, reason="", **changes)
    except BaseException:
        for landing in landed.values():
            backends.objects().delete(landing.key)
        raise
    if old and "output_file" in landed:
        backends.objects().delete(old)


def _check_no_more_came(batch: Batch, count: int) -> None:
    """LostRace if another process recorded an answer: the files are written anew with it."""
    Batch.objects.select_for_update().get(pk=batch.pk)
    if BatchAnswer.objects.filter(batch=batch).count() != count:
        raise lifecycle.LostRace(str(batch))


def _fill(batch: Batch, file_id: Any, landed: Landing, now: datetime) -> None:
    lives = batch.output_seconds
    File.objects.filter(pk=file_id).update(
        key=landed.key,
        size_bytes=landed.size_bytes,
        sha256=landed.sha256,
        expires_at=now + timedelta(seconds=lives) if lives else None,
    )


def _written(batch: Batch, pieces: Iterator[bytes]) -> Landing:
    with files.landing(project_id=batch.project_id, most_bytes=2**63) as landed:
        for piece in pieces:
            landed.write(piece)
            _keep_lease(batch)
    return landed


def _keep_lease(batch: Batch) -> None:
    if batch.look_at is not None and batch.look_at - timezone.now() < reconcile.LEASE / 2:
        reconcile.renew(batch)


def _output(batch: Batch, old: str) -> Iterator[bytes]:
    """What an earlier run has written, then what this one has recorded, in that order."""
    if old:
        with backends.objects().open(old) as body:
            while data := body.read(1024 * 1024):
                yield data
    yield from files.recorded(batch, good=True)


def _waiting(batch: Batch) -> Any:
    return BatchLine.objects.filter(batch=batch, state=LineState.WAITING)


def _errors(batch: Batch, target: str) -> Iterator[bytes]:
    yield from files.recorded(batch, good=False)
    if target not in _LEFT:
        return
    code, message = _LEFT[BatchPhase(target)]
    last = 0
    while found := list(_waiting(batch).filter(number__gt=last).order_by("number")[:_PAGE]):
        last = found[-1].number
        for line in found:
            text = batch_asking.written_line(
                batch, line.number, line.custom_id, response=None,
                error={"code": code, "message": message},
            )  # fmt: skip
            yield text.encode() + b"\n"
