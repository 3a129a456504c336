"""Walks jobs through their lives, one look at a time, and their mirrors beside them."""

from __future__ import annotations

from datetime import datetime, timedelta

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.runs import life, sweeping
from slipway.training.models import RunMirror, TrainingJob
from slipway.training.reconcile import mirror
from slipway.training.services import charging, keeping, sending

TRADE = life.Trade(
    workload=sending.workload,
    keep=keeping.keep,
    harvest=keeping.harvest,
    hindrance=charging.hindrance,
    settle=charging.settle,
    let_go=sending.let_go,
    leftovers=keeping.leftovers,
    forget=keeping.forget,
)


def step(job: TrainingJob, now: datetime) -> timedelta | None:
    return life.step(job, now, TRADE)


WATCHED: list[tuple[type[Tracked], Step]] = [(TrainingJob, step), (RunMirror, mirror.step)]


def sweep(_now: datetime) -> None:
    """Remove training workloads that no job wants any more; free rows whose model is gone."""
    sweeping.sweep(TrainingJob)
    sending.let_rows_go()
