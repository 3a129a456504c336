"""What a job will need before it starts, and how that compared with what it did need."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from slipway.capacity import services as capacity
from slipway.runs.record import ACTIVE, Phase, remaining
from slipway.training.models import TrainingJob
from slipway.training.services import charging
from slipway_contracts import hyperparameters
from slipway_contracts.hyperparameters import Limits

#: Floating-point operations per token and parameter: 2 forward, 2 back to the inputs, 2 to the
#: weights; LoRA leaves out most of the last. A reference model takes 2 more.
FLOPS = {"lora": 4.0, "full": 6.0}
REFERENCE_FLOPS = {"sft": 0.0, "dpo": 2.0}
#: Where nothing was measured yet: operations per second of one CPU core, of one GPU, the time a
#: step takes on top, and load and store of a small model.
CORE_FLOPS, GPU_FLOPS, STEP_SECONDS, FIXED_SECONDS = 5e10, 1e14, 0.02, 3.0
#: Earlier jobs that a calibration looks at.
WINDOW = 5


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a job will need. Seconds have a band; memory is of one worker, in bytes."""

    rows: int
    #: Of all epochs, counted by the base model's own tokenizer.
    tokens: int
    steps: int
    seconds: float
    seconds_low: float
    seconds_high: float
    #: What the seconds were reckoned from, in words.
    basis: str
    trainable_parameters: int
    memory_bytes: int
    memory_parts: dict[str, int]
    price: str
    currency: str
    #: When it would start if it were asked for now, and why not sooner.
    starts_in_seconds: float
    starts_reason: str


def estimate(
    *,
    project_id: UUID,
    base_name: str,
    base_version_id: UUID,
    method: str,
    scale: str,
    resolved: dict[str, Any],
    rows: int,
    tokens: int,
    limits: Limits,
    workers: int,
    gpus: int,
    now: datetime,
) -> Estimate:
    """`tokens` is of one epoch; `resolved` has no "auto" left."""
    need = hyperparameters.estimate(
        method, scale, resolved, rows=rows, tokens=tokens, limits=limits, workers=workers
    )
    seconds, band, basis = _seconds(
        base_version_id, method, scale, need.tokens, need.steps, limits, workers=workers, gpus=gpus
    )
    starts_in, starts_reason = _start(now)
    price = charging.price(
        project_id=project_id,
        base_name=base_name,
        tokens=need.tokens,
        seconds=seconds,
        workers=workers,
        gpus=gpus,
        at=now,
    )
    return Estimate(
        rows=rows,
        tokens=need.tokens,
        steps=need.steps,
        seconds=round(seconds, 1),
        seconds_low=round(seconds * (1 - band), 1),
        seconds_high=round(seconds * (1 + band), 1),
        basis=basis,
        trainable_parameters=need.trainable_parameters,
        memory_bytes=need.memory_bytes,
        memory_parts=need.memory_parts,
        price=str(price),
        currency=settings.CURRENCY,
        starts_in_seconds=round(starts_in, 1),
        starts_reason=starts_reason,
    )


def _seconds(
    base_version_id: UUID,
    method: str,
    scale: str,
    tokens: int,
    steps: int,
    limits: Limits,
    *,
    workers: int,
    gpus: int,
) -> tuple[float, float, str]:
    """Seconds from start to end, half-width of the band as a share, and what they come from."""
    finished = TrainingJob.objects.filter(
        phase=Phase.SUCCEEDED, method=method, scale=scale, workers=workers, gpus=gpus
    ).order_by("-finished_at", "pk")
    same_model = [
        pace
        for job in finished.filter(base_version_id=base_version_id)[:WINDOW]
        if (pace := _pace(job)) is not None
    ]
    if same_model:
        rate = statistics.median(rate for rate, _ in same_model)
        fixed = statistics.median(fixed for _, fixed in same_model)
        band = 0.25 if len(same_model) < 3 else 0.15
        counted = f"{len(same_model)} earlier job" + ("s" if len(same_model) > 1 else "")
        return tokens / rate + fixed, band, f"{counted} with this model here"
    flops = FLOPS[scale] + REFERENCE_FLOPS[method]
    work = flops * max(limits.parameters, 1) * tokens
    speed = GPU_FLOPS * gpus if gpus else CORE_FLOPS * (os.cpu_count() or 1)
    seconds = work / speed + steps * STEP_SECONDS + FIXED_SECONDS
    return seconds, 0.5, "arithmetic from the model's size; no job with this model ran here yet"


def _pace(job: TrainingJob) -> tuple[float, float] | None:
    """Tokens per second, and seconds beside the training itself, of a finished job."""
    tokens, seconds = job.metrics.get("tokens"), job.metrics.get("seconds")
    # A job of several attempts measured only its last one.
    if not tokens or not seconds or job.attempt > 1 or not (job.started_at and job.finished_at):
        return None
    whole = (job.finished_at - job.started_at).total_seconds()
    return tokens / seconds, max(0.0, whole - seconds)


def _start(now: datetime) -> tuple[float, str]:
    """Seconds until a job asked for now would start, if jobs run one after another, and why."""
    ready = capacity.compute()
    ahead = list(TrainingJob.objects.filter(phase__in=ACTIVE))
    wait = sum(_left(job, now) for job in ahead)
    if ahead:
        jobs = "1 job is" if len(ahead) == 1 else f"{len(ahead)} jobs are"
        return wait, f"{jobs} in front; sooner if the cluster has room for more than one"
    return 0.0, "at once" if ready.ready else f"the cluster is getting ready: {ready.reason}"


def _left(job: TrainingJob, now: datetime) -> float:
    if (band := remaining(job, now=now)) is not None:
        return band[1]
    return float(job.estimate.get("seconds", 0.0)) if job.phase != Phase.HARVESTING else 0.0


def compared(job: TrainingJob) -> dict[str, dict[str, float | None]] | None:
    """Estimate beside actual for each figure of a finished job; None before its end."""
    if job.phase != Phase.SUCCEEDED or not job.estimate:
        return None
    ran = (job.finished_at - job.started_at).total_seconds() if job.started_at else None
    actual: dict[str, float | None] = {
        "tokens": job.metrics.get("tokens"),
        "steps": job.step,
        "seconds": ran,
        "memory_bytes": job.metrics.get("peak_memory_bytes"),
        "price": float(job.price) if job.price is not None else None,
    }
    return {
        key: {"estimate": float(job.estimate[key]), "actual": value}
        for key, value in actual.items()
    }
