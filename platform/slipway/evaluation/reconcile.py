"""Walks evaluations through their lives, one look at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.evaluation.models import EvaluationRun
from slipway.evaluation.services import asking, charging, keeping
from slipway.runs import life, sweeping

TRADE = life.Trade(
    workload=asking.workload,
    keep=keeping.keep,
    harvest=keeping.harvest,
    hindrance=charging.hindrance,
    settle=charging.charge,
    let_go=asking.let_go,
    leftovers=keeping.leftovers,
    forget=keeping.forget,
)


def step(run: EvaluationRun, now: datetime) -> timedelta | None:
    return life.step(run, now, TRADE)


WATCHED: list[tuple[type[Tracked], Step]] = [(EvaluationRun, step)]


def sweep(_now: datetime) -> None:
    """Remove evaluation workloads that no run wants any more."""
    sweeping.sweep(EvaluationRun)
