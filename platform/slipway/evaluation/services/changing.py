"""Change one's mind about an evaluation: cancel it, try it again, delete it."""

from __future__ import annotations

from datetime import datetime

from slipway.evaluation.models import EvaluationRun
from slipway.evaluation.services import asking, charging
from slipway.runs import verbs


def cancel(run: EvaluationRun, *, now: datetime, by: str) -> None:
    """Ask for its end. Conflict once it has ended."""
    verbs.cancel(run, now=now, by=by)


def retry(run: EvaluationRun, *, now: datetime, by: str) -> None:
    """Queue it as its next attempt; Conflict for a wrong phase, NotFound if an input has gone."""
    verbs.retry(run, now=now, by=by, hold=asking.hold)


def resume(run: EvaluationRun, *, now: datetime, by: str) -> None:
    """Queue a paused one again; Conflict if it is not paused, BudgetSpent if there is no room."""
    verbs.resume(run, now=now, by=by, hold=lambda again: charging.reserve(again, now=now))


def delete(run: EvaluationRun, *, now: datetime, by: str) -> None:
    """Delete it with its scores and per-row results. Conflict while it runs."""
    verbs.delete(run, now=now, by=by)
