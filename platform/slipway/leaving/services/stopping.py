"""End what an organisation has running, and what it would pay for again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from slipway.core.errors import Refused
from slipway.core.lifecycle import LostRace
from slipway.deployments import services as deployments
from slipway.door.services import batches, evals, tuning
from slipway.evaluation import services as evaluation
from slipway.leaving.services.kinds import Kind
from slipway.plans import services as plans
from slipway.tenancy.services import whole as tenancy
from slipway.training import services as training

RUNNING: dict[str, Callable[..., Any]] = {
    "door.Batch": batches.cancel,
    "door.EvalRun": evals.cancel,
    "door.FineTune": tuning.cancel,
    "training.TrainingJob": training.cancel,
    "evaluation.EvaluationRun": evaluation.cancel,
    "deployments.Deployment": deployments.stop,
}


def stop(*, organisation_id: UUID, now: datetime) -> list[str]:
    """Ask all that runs to end; what has not ended yet, as `table:id`. Asking again is once."""
    plans.renew_no_more(project_ids=tenancy.project_ids(organisation_id=organisation_id))
    left = []
    for label, verb in RUNNING.items():
        rows: Any = Kind(label=label).rows(organisation_id)
        for row in rows:
            if row.LIFECYCLE.at_rest(row.phase):
                continue
            # What is ending already refuses, and ends.
            with suppress(Refused, LostRace):
                verb(row, now=now, by="the end of the organisation")
            row.refresh_from_db()
            if not row.LIFECYCLE.at_rest(row.phase):
                left.append(str(row))
    return left
