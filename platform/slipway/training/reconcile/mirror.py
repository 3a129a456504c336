"""Writes a job's curves into the experiment tracker; slow or broken, it never holds up the job.

The progress chunks are the log it reads, with a cursor of its own, so nothing is lost while the
tracker is away. Every call is boxed in time: one that hangs is left behind in its thread, and
until it comes back no other is made.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from slipway import backends
from slipway.backends.tracking import Point, TrackingUnavailable
from slipway.core import lifecycle
from slipway.runs import progress
from slipway.runs.record import Phase
from slipway.training.models import MirrorPhase, RunMirror, TrainingJob
from slipway_contracts.progress import NoteKind

BOX_SECONDS = 10.0
PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=2)
_STATUS = {
    Phase.SUCCEEDED: "FINISHED",
    Phase.FAILED: "FAILED",
    Phase.CANCELLED: "KILLED",
    Phase.DELETING: "KILLED",
    Phase.DELETED: "KILLED",
}
_box = threading.Lock()


def boxed(call: Callable[[], Any]) -> Any:
    """What `call` returns; TrackingUnavailable if it takes too long, or while another hangs."""
    if not _box.acquire(blocking=False):
        raise TrackingUnavailable("an earlier call to the tracker has not come back")
    outcome: list[Any] = []
    back = threading.Event()

    def run() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:  # noqa: BLE001 - carried over to the caller
            outcome.append((None, error))
        finally:
            _box.release()
            back.set()

    threading.Thread(target=run, name="tracker", daemon=True).start()
    if not back.wait(BOX_SECONDS):
        raise TrackingUnavailable(f"the tracker did not answer within {BOX_SECONDS:g} s")
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def step(mirror: RunMirror, now: datetime) -> timedelta | None:
    """Write what is new; close the tracker's run once the job is at rest and all is written."""
    # Read before the chunks: a job seen at rest here has told all it will.
    job = TrainingJob.objects.get(pk=mirror.job_id)
    try:
        return _follow(mirror, job, now)
    except TrackingUnavailable as error:
        return _later(mirror, job, now, error)


def _follow(mirror: RunMirror, job: TrainingJob, now: datetime) -> timedelta | None:
    found = progress.chunks(job.output_uri, after=mirror.read_until)
    ended = _STATUS.get(job.phase)
    if not found and not (ended and mirror.run):
        if ended:
            lifecycle.advance(
                mirror, MirrorPhase.CLOSED, now=now, reason="there was nothing to write"
            )
            return None
        return PAUSE
    tracking = backends.tracking()
    run = mirror.run or boxed(lambda: _open(job))
    if points := _points(found):
        boxed(lambda: tracking.log(run, points))
    cursor = found[-1].key if found else mirror.read_until
    lifecycle.annotate(mirror, reason="", run=run, read_until=cursor, refusals=0)
    if len(found) == progress.CHUNKS_A_LOOK:
        return timedelta(0)
    if ended is None:
        return PAUSE
    boxed(lambda: tracking.end_run(run, status=ended))
    lifecycle.advance(mirror, MirrorPhase.CLOSED, now=now)
    return None


def _open(job: TrainingJob) -> str:
    params = {
        "base": job.base_name,
        "method": job.method,
        "scale": job.scale,
        "seed": str(job.seed),
        "dataset_version": str(job.dataset_version_id),
        "dataset_sha256": job.dataset_sha256,
    } | {key: str(value) for key, value in job.resolved.items()}
    return backends.tracking().start_run(
        experiment=str(job.project_id), name=job.name, key=str(job.pk), params=params
    )


def _points(found: list[progress.Chunk]) -> list[Point]:
    return [
        Point(name=name, value=value, step=note.step, at=progress.when(note))
        for chunk in found
        for note in chunk.notes
        if note.kind is NoteKind.METRICS and note.step is not None
        for name, value in note.values.items()
        if math.isfinite(value)
    ]


def _later(
    mirror: RunMirror, job: TrainingJob, now: datetime, error: TrackingUnavailable
) -> timedelta:
    if mirror.refusals == 0:
        text = f"the experiment tracker does not answer ({error}); curves follow when it does"
        lifecycle.tell(job, now=now, kind="tracking", text=text, level="warning")
    refusals = mirror.refusals + 1
    lifecycle.annotate(mirror, reason=str(error), refusals=refusals)
    return min(LONGEST_PAUSE, PAUSE * 2 ** min(refusals, 10))
