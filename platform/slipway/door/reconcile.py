"""Carry files, fine-tuning jobs and batches from one phase to the next."""

from __future__ import annotations

from datetime import datetime

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.door.models import Batch, EvalRun, File, FineTune
from slipway.door.services import batch_life, eval_life, files, sweeping, tune_life

WATCHED: list[tuple[type[Tracked], Step]] = [
    (File, files.look),
    (FineTune, tune_life.look),
    (Batch, batch_life.look),
    (EvalRun, eval_life.look),
]


def sweep(now: datetime) -> None:
    """End what has outlived its time."""
    sweeping.sweep(now)
