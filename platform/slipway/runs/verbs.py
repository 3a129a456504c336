"""What a user may do to a run: find it, ask for it twice, cancel it, try it again, delete it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction

from slipway.core import lifecycle, nudge, together
from slipway.core.errors import Conflict, Detail, NotFound
from slipway.runs import life
from slipway.runs.record import Phase, Run

R = TypeVar("R", bound=Run)


def find(model: type[R], *, project_id: UUID, run_id: UUID, what: str) -> R:
    """The run, or NotFound: there is none, it was deleted, or it is another project's."""
    rows = model.objects.exclude(phase=Phase.DELETED)
    run: R | None = rows.filter(pk=run_id, project_id=project_id).first()
    if run is None:
        raise NotFound(f"There is no {what} {run_id} in this project.")
    return run


def fingerprint(request: Mapping[str, Any]) -> str:
    """SHA-256 of what was asked; tells a repeated request from another under the same key."""
    canonical = json.dumps(request, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def earlier(
    model: type[R], *, project_id: UUID, idempotency_key: str | None, sha256: str
) -> R | None:
    """The run that this key made before; Conflict if it was made by a different request."""
    if not idempotency_key:
        return None
    rows = model.objects.filter(project_id=project_id, idempotency_key=idempotency_key)
    run: R | None = rows.first()
    if run is not None and run.request_sha256 != sha256:
        raise Conflict(
            f"Idempotency-Key {idempotency_key!r} was used for a different request before.",
            Detail(
                field="Idempotency-Key",
                rule="one key, one request",
                value=idempotency_key,
                fix="repeat the first request unchanged, or use a new key",
            ),
        )
    return run


def store(run: R, *, now: datetime, hold: Callable[[R], None]) -> R:
    """Insert the new run with its holds and first event, and wake the worker.

    Of two requests that carry one key at the same moment both get the same run back.
    """
    together.begin()
    try:
        with transaction.atomic():
            run.save(force_insert=True)
            hold(run)
            lifecycle.born(run, now=now, reason=run.reason)
            nudge.soon(type(run))
    except IntegrityError:
        first = earlier(
            type(run),
            project_id=run.project_id,
            idempotency_key=run.idempotency_key,
            sha256=run.request_sha256,
        )
        if first is None:
            raise
        return first
    return run


def cancel(run: Run, *, now: datetime, by: str) -> None:
    """Ask for the run's end; checkpoints stay. Cancelling twice is once."""
    _tried(run, lambda: _cancel(run, now, by))


def _cancel(run: Run, now: datetime, by: str) -> None:
    if run.phase in {Phase.CANCELLING, Phase.CANCELLED}:
        return
    if not run.LIFECYCLE.allows(run.phase, Phase.CANCELLING):
        raise Conflict(f"It is {run.phase} already; there is nothing left to cancel.")
    _move(run, Phase.CANCELLING, now=now, reason=f"cancelled by {by}")


def pause(run: Run, *, now: datetime, by: str) -> None:
    """Give its place away; it can be resumed from its latest checkpoint. Pausing twice is once."""
    _tried(run, lambda: _pause(run, now, by))


def _pause(run: Run, now: datetime, by: str) -> None:
    if run.phase in {Phase.PAUSING, Phase.PAUSED}:
        return
    if not run.LIFECYCLE.allows(run.phase, Phase.PAUSING):
        raise Conflict(f"It is {run.phase}; only what is queued or running can be paused.")
    _move(run, Phase.PAUSING, now=now, reason=f"paused by {by}")


def resume(run: Run, *, now: datetime, by: str, hold: Callable[[Any], None]) -> None:
    """Queue a paused run again, where `hold` lets it; it goes on from its latest checkpoint."""
    if run.phase != Phase.PAUSED:
        raise Conflict(f"It is {run.phase}; only what is paused can be resumed.")
    with transaction.atomic():
        hold(run)
        reason = f"resumed by {by}; goes on from the latest checkpoint"
        life.requeue(run, now=now, reason=reason, faults=0, losses=0)
        nudge.soon(type(run))


def retry(run: Run, *, now: datetime, by: str, hold: Callable[[Any], None]) -> None:
    """Queue a failed or cancelled run again; it resumes from its latest checkpoint.

    Conflict where that makes no sense; what `hold` raises where an input is gone.
    """
    if run.phase not in {Phase.FAILED, Phase.CANCELLED}:
        raise Conflict(f"It is {run.phase}; only what failed or was cancelled can be tried again.")
    if not run.recoverable:
        raise Conflict(
            f"Another attempt would fail like the last one: {run.reason}",
            Detail(
                field="phase",
                rule="failed for a cause in the request",
                fix="mend the request and make a new run",
            ),
        )
    with transaction.atomic():
        hold(run)
        reason = f"tried again by {by}; resumes from the latest checkpoint if there is one"
        life.requeue(run, now=now, reason=reason, faults=0, losses=0)
        nudge.soon(type(run))


def delete(run: Run, *, now: datetime, by: str) -> None:
    """Forget the run and what it left behind, except what the registry took over."""
    if run.phase == Phase.DELETING:
        return
    if not run.LIFECYCLE.allows(run.phase, Phase.DELETING):
        raise Conflict(f"It is {run.phase}; cancel it first, then delete it.")
    _move(run, Phase.DELETING, now=now, reason=f"deleted by {by}")


def _move(run: Run, phase: str, *, now: datetime, reason: str) -> None:
    with transaction.atomic():
        lifecycle.advance(run, phase, now=now, reason=reason)
        nudge.soon(type(run))


def _tried(run: Run, verb: Callable[[], None]) -> None:
    """Do it, and once more with a fresh row each time the worker moved it meanwhile."""
    for _ in range(5):
        try:
            return verb()
        except lifecycle.LostRace:
            run.refresh_from_db()
    raise Conflict("It is changing faster than the request could be carried out; ask again.")
