"""Change one's mind about a job: cancel it, try it again, delete it."""

from __future__ import annotations

from datetime import datetime

from slipway.core import lifecycle, nudge
from slipway.runs import verbs
from slipway.training.models import MirrorPhase, RunMirror, TrainingJob
from slipway.training.services import charging, sending


def cancel(job: TrainingJob, *, now: datetime, by: str) -> None:
    """Ask for the job's end; its checkpoints stay. Conflict once it has ended."""
    verbs.cancel(job, now=now, by=by)


def retry(job: TrainingJob, *, now: datetime, by: str) -> None:
    """Queue it as its next attempt; Conflict for a wrong phase, NotFound if an input has gone."""
    verbs.retry(job, now=now, by=by, hold=lambda again: _wake(again, now))


def _wake(job: TrainingJob, now: datetime) -> None:
    sending.hold(job)
    charging.reserve(job, now=now)
    mirror = RunMirror.objects.get(job=job)
    if mirror.phase == MirrorPhase.CLOSED:
        lifecycle.advance(mirror, MirrorPhase.FOLLOWING, now=now)
        nudge.soon(RunMirror)


def delete(job: TrainingJob, *, now: datetime, by: str) -> None:
    """Delete curves, logs and checkpoints; a version made from it stays. Conflict while it runs."""
    verbs.delete(job, now=now, by=by)
