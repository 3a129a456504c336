"""Batches: asked for, looked at, cancelled, and asked again for what failed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from slipway.core import lifecycle, nudge
from slipway.door.models import Batch, BatchLine, BatchPhase, File, LineState
from slipway.door.services import files, words
from slipway.door.services.words import Bad

PREFIX = "batch_"
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
WINDOW = timedelta(hours=24)
MOST_BYTES = 200 * 1024 * 1024
_OVER = (BatchPhase.COMPLETED, BatchPhase.EXPIRED, BatchPhase.CANCELLED)


def create(
    *,
    project_id: UUID,
    key_id: UUID,
    input_file_id: str,
    endpoint: str,
    completion_window: str,
    metadata: dict[str, str] | None,
    output_seconds: int | None,
    made_by: str,
    now: datetime,
) -> Batch:
    """A batch whose lines are read next; what is wrong in them is found then, line by line."""
    if endpoint not in ENDPOINTS:
        raise Bad(
            f"{endpoint[:80]!r} cannot be asked in batches here; use {', '.join(ENDPOINTS)}.",
            param="endpoint",
            code="invalid_endpoint",
        )
    if completion_window != "24h":
        raise Bad("completion_window must be 24h.", param="completion_window")
    with transaction.atomic():
        file = files.of(
            project_id=project_id, file_id=input_file_id, now=now, param="input_file_id"
        )
        # Locked: a deletion waits, and then finds that the file is needed.
        File.objects.select_for_update().filter(pk=file.pk).first()
        if file.purpose != "batch":
            raise Bad(
                f"{input_file_id} was uploaded for {file.purpose!r}; upload it with purpose "
                "'batch'.",
                param="input_file_id",
                code="invalid_file_purpose",
            )
        batch = Batch(
            created_at=now,
            project_id=project_id,
            made_by=made_by,
            key_id=key_id,
            input_file=file,
            endpoint=endpoint,
            metadata=metadata,
            output_seconds=output_seconds,
            expires_at=now + WINDOW,
            phase=BatchPhase.VALIDATING,
            reason="its lines are about to be read",
            look_at=now,
        )
        batch.save(force_insert=True)
        lifecycle.born(batch, now=now)
        nudge.soon(Batch)
    return batch


def rows(*, project_id: UUID) -> QuerySet[Batch]:
    return Batch.objects.filter(project_id=project_id)


def of(*, project_id: UUID, batch_id: str) -> Batch:
    key = words.row_id(PREFIX, batch_id, what="batch", param="batch_id")
    found = rows(project_id=project_id).filter(pk=key).first()
    if found is None:
        raise words.no_such("batch", batch_id, param="batch_id")
    return found


def cancel(batch: Batch, *, now: datetime, by: str) -> None:
    """Ask no more; what was answered stays. Cancelling twice is once."""
    for _ in range(5):
        if batch.phase in {BatchPhase.CANCELLING, BatchPhase.CANCELLED}:
            return
        if not batch.LIFECYCLE.allows(batch.phase, BatchPhase.CANCELLING):
            raise Bad(f"This batch is {batch.phase}; there is nothing left to cancel.")
        try:
            with transaction.atomic():
                lifecycle.advance(
                    batch, BatchPhase.CANCELLING, now=now, reason=f"cancelled by {by}",
                    cancelling_at=now,
                )  # fmt: skip
                nudge.soon(Batch)
            return
        except lifecycle.LostRace:
            batch.refresh_from_db()


def ask_again(batch: Batch, *, now: datetime, by: str) -> None:
    """Ask the lines that failed or were not reached once more; good answers stay."""
    if batch.phase not in _OVER:
        raise Bad(f"This batch is {batch.phase}; it can be asked again once it has ended.")
    undone = BatchLine.objects.filter(batch=batch).exclude(state=LineState.DONE)
    if not undone.exists():
        raise Bad("Every line of this batch was answered well; there is nothing to ask again.")
    with transaction.atomic():
        # Locked, so that nobody deletes it before the batch is seen to need it.
        if not File.objects.select_for_update().get(pk=batch.input_file_id).key:
            raise Bad(
                "The input file of this batch was deleted, so its lines cannot be asked again; "
                "upload them anew and make a new batch.",
                param="input_file_id",
                code="file_deleted",
            )
        lifecycle.advance(
            batch,
            BatchPhase.IN_PROGRESS,
            now=now,
            reason=f"asked again by {by}",
            failed=0,
            error_file=None,
            expires_at=now + WINDOW,
            resumed_at=now,
            resumed_from=batch.completed,
            finalizing_at=None,
            completed_at=None,
            expired_at=None,
            cancelling_at=None,
            cancelled_at=None,
        )
        undone.update(state=LineState.WAITING)
        nudge.soon(Batch)


def finish_at(batch: Batch, now: datetime) -> datetime | None:
    """When it will have ended at the pace so far; None before that can be told."""
    done = batch.completed + batch.failed - batch.resumed_from
    if batch.phase != BatchPhase.IN_PROGRESS or batch.resumed_at is None or done < 1:
        return None
    left = batch.total - batch.completed - batch.failed
    return now + (now - batch.resumed_at) / done * left


def shown(batch: Batch, now: datetime) -> dict[str, Any]:
    """The Batch object."""

    def file_id(key: UUID | None) -> str | None:
        return words.public_id(files.PREFIX, key) if key else None

    times = {
        name: words.seconds(getattr(batch, name))
        for name in ("in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at",
                     "expired_at", "cancelling_at", "cancelled_at")
    }  # fmt: skip
    errors = {"object": "list", "data": batch.errors} if batch.errors else None
    return {
        "id": words.public_id(PREFIX, batch.pk),
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model or None,
        "errors": errors,
        "input_file_id": file_id(batch.input_file_id),
        "completion_window": "24h",
        "status": batch.phase,
        "output_file_id": file_id(batch.output_file_id),
        "error_file_id": file_id(batch.error_file_id),
        "created_at": words.seconds(batch.created_at),
        **times,
        "request_counts": {
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
        },
        "usage": {
            "input_tokens": batch.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": batch.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": batch.prompt_tokens + batch.completion_tokens,
        },
        "metadata": batch.metadata,
        # Ours: why it is where it is, and when it will have ended.
        "x_reason": batch.reason,
        "x_estimated_finish": words.seconds(finish_at(batch, now)),
    }
