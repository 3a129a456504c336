"""What an evaluation costs: the time of its machine, set aside as it goes, written when it ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from slipway.core import lifecycle
from slipway.evaluation.models import EvaluationRun
from slipway.metering import services as metering
from slipway.tenancy import services as tenancy

#: How often its cost is held against the budgets, and how many seconds are set aside ahead of it.
_WEIGH_EVERY, _AHEAD_SECONDS = timedelta(seconds=5), 30.0
#: Several models are judged; the time is nobody's in particular.
_MODEL = ""


def _used(run: EvaluationRun, seconds: float) -> dict[str, int]:
    kind = "gpu_milliseconds" if run.gpus else "cpu_milliseconds"
    return {kind: int(seconds * 1000) * max(run.gpus, 1)}


def _price(run: EvaluationRun, seconds: float, at: datetime) -> Decimal:
    return metering.cost(
        organisation_id=tenancy.project_fact(project_id=run.project_id).organisation_id,
        model=_MODEL,
        quantities=_used(run, seconds),
        at=at,
    )


def _subject(run: EvaluationRun) -> str:
    return f"evaluation {run.pk}"


def _seconds(run: EvaluationRun, now: datetime) -> float:
    return (now - run.placed_at).total_seconds() if run.placed_at else 0.0


def reserve(run: EvaluationRun, *, now: datetime) -> None:
    """Set its first half minute aside, in the transaction that queues it; BudgetSpent if there is
    no room for that."""
    metering.reserve(
        subject=_subject(run),
        organisation_id=tenancy.project_fact(project_id=run.project_id).organisation_id,
        project_id=run.project_id,
        amount=_price(run, _AHEAD_SECONDS, now),
        now=now,
    )


def hindrance(run: EvaluationRun, now: datetime) -> str:
    """Why it should pause: the budgets have no room for the next half minute. "" if they have."""
    if run.weighed_at is not None and now - run.weighed_at < _WEIGH_EVERY:
        return ""
    ahead = _price(run, _seconds(run, now) + _AHEAD_SECONDS, now)
    refusal = metering.keep_ahead(subject=_subject(run), amount=ahead, now=now)
    if refusal is not None:
        return f"paused: {refusal.message} Resume it once there is room."
    lifecycle.annotate(run, reason=run.reason, weighed_at=now)
    return ""


def charge(run: EvaluationRun, now: datetime) -> None:
    """Write what the present attempt used in the ledger, once, and free what was set aside."""
    metering.release(subject=_subject(run), now=now)
    for kind, quantity in _used(run, _seconds(run, now)).items():
        metering.add_entry(
            key=f"{_subject(run)}:{run.attempt}:{kind}",
            at=now,
            project_id=run.project_id,
            kind=kind,
            quantity=quantity,
            model=_MODEL,
            subject=_subject(run),
        )
