"""What a job costs: set aside before it starts, written in the ledger when it ends."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from slipway.metering import services as metering
from slipway.tenancy import services as tenancy
from slipway.training.models import TrainingJob

TOKENS, CPU, GPU = "training_tokens", "cpu_milliseconds", "gpu_milliseconds"


def quantities(*, tokens: int, seconds: float, workers: int, gpus: int) -> dict[str, int]:
    """Kinds of use to how much: tokens seen, and milliseconds of every GPU or else worker."""
    time = {GPU: int(seconds * 1000) * gpus} if gpus else {CPU: int(seconds * 1000) * workers}
    return {TOKENS: tokens, **time}


def price(
    *,
    project_id: UUID,
    base_name: str,
    tokens: int,
    seconds: float,
    workers: int,
    gpus: int,
    at: datetime,
) -> Decimal:
    """What that much training costs, in settings.CURRENCY. `base_name` is `model@version`."""
    return metering.cost(
        organisation_id=tenancy.project_fact(project_id=project_id).organisation_id,
        model=_model(base_name),
        quantities=quantities(tokens=tokens, seconds=seconds, workers=workers, gpus=gpus),
        at=at,
    )


def reserve(job: TrainingJob, *, now: datetime) -> None:
    """Set the most it may cost aside, in the transaction that queues it; BudgetSpent if it is
    too much."""
    metering.reserve(
        subject=_subject(job),
        organisation_id=tenancy.project_fact(project_id=job.project_id).organisation_id,
        project_id=job.project_id,
        key_id=job.key_id,
        amount=price(
            project_id=job.project_id,
            base_name=job.base_name,
            tokens=job.estimate["tokens"],
            seconds=job.estimate["seconds_high"],
            workers=job.workers,
            gpus=job.gpus,
            at=now,
        ),
        now=now,
    )


def charge(job: TrainingJob, *, now: datetime, tokens: int | None = None) -> None:
    """Write what the present attempt used in the ledger, once, and free what was set aside.

    `tokens` are all that the job has seen; without them they follow from the steps done. Steps
    that were not done cost nothing.
    """
    metering.release(subject=_subject(job), now=now)
    if job.started_at is None:
        return
    if tokens is None:
        done = job.step / job.total_steps if job.total_steps else 0.0
        tokens = int(job.estimate.get("tokens", 0) * min(done, 1.0))
    # An attempt that resumed pays for the steps since, not again for those before.
    tokens -= metering.counted(subject=_subject(job), kind=TOKENS, besides=_key(job, TOKENS))
    seconds = (now - max(job.started_at, job.queued_at)).total_seconds()
    used = quantities(tokens=tokens, seconds=seconds, workers=job.workers, gpus=job.gpus)
    for kind, quantity in used.items():
        metering.add_entry(
            key=_key(job, kind),
            at=now,
            project_id=job.project_id,
            key_id=job.key_id,
            kind=kind,
            quantity=quantity,
            model=_model(job.base_name),
            subject=_subject(job),
        )


def _subject(job: TrainingJob) -> str:
    return f"training job {job.pk}"


def _key(job: TrainingJob, kind: str) -> str:
    return f"{_subject(job)}:{job.attempt}:{kind}"


def _model(reference: str) -> str:
    return reference.partition("@")[0]
