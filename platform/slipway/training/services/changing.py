"""Change one's mind about a job: cancel it, try it again, delete it."""

from __future__ import annotations

from datetime import datetime

from slipway.core import lifecycle, nudge
from slipway.runs import verbs
from slipway.training.models import Checkpoint, MirrorPhase, RunMirror, TrainingJob
from slipway.training.services import charging, sending


def cancel(job: TrainingJob, *, now: datetime, by: str) -> None:
    """Ask for the job's end; its checkpoints stay. Conflict once it has ended."""
    verbs.cancel(job, now=now, by=by)


def retry(job: TrainingJob, *, now: datetime, by: str) -> None:
    """Queue it as its next attempt; Conflict for a wrong phase, NotFound if an input has gone."""
    verbs.retry(job, now=now, by=by, hold=lambda again: _wake(again, now))


def pause(job: TrainingJob, *, now: datetime, by: str) -> None:
    """Give its place away until it is resumed; Conflict once it has ended."""
    verbs.pause(job, now=now, by=by)


def resume(job: TrainingJob, *, now: datetime, by: str) -> None:
    """Queue a paused job again; Conflict if it is not paused, BudgetSpent if it does not fit."""
    verbs.resume(job, now=now, by=by, hold=lambda again: charging.reserve(again, now=now))


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


def forget_checkpoints(job: TrainingJob) -> None:
    """No checkpoint is called by its name any more; their bytes go with the job."""
    Checkpoint.objects.filter(job=job).delete()
