"""Keep what a job tells while it runs, and take over what it leaves behind."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from django.utils import timezone

from slipway import backends
from slipway.core import lifecycle
from slipway.metering import services as metering
from slipway.registry import services as registry
from slipway.runs import progress
from slipway.training.models import Checkpoint, MetricPoint, TrainingJob
from slipway.training.services import charging, sending
from slipway.training.services.reading import tracking_run
from slipway_contracts.progress import Note, NoteKind
from slipway_contracts.workload import Report


def keep(job: TrainingJob, note: Note) -> None:
    """Store the note's points or checkpoint; the same note twice changes nothing."""
    at = progress.when(note)
    if note.kind is NoteKind.METRICS and note.step is not None:
        MetricPoint.objects.bulk_create(
            [
                MetricPoint(
                    job=job,
                    name=name,
                    step=note.step,
                    value=value if math.isfinite(value) else None,
                    at=at,
                )
                for name, value in note.values.items()
            ],
            update_conflicts=True,
            unique_fields=["job", "name", "step"],
            update_fields=["value", "at"],
        )
    elif note.kind is NoteKind.CHECKPOINT and note.step is not None:
        _, new = Checkpoint.objects.get_or_create(
            job=job,
            uri=note.uri,
            defaults={"step": note.step, "attempt": job.attempt, "values": note.values, "at": at},
        )
        if new:
            text = f"checkpoint at step {note.step}"
            data = {"step": note.step, "values": note.values}
            lifecycle.tell(job, now=at, kind="checkpoint", text=text, data=data)


def harvest(job: TrainingJob, report: Report) -> dict[str, Any] | None:
    """Register the result as a version of its model, once; returns fields to store with success."""
    metrics = {name: value for name, value in report.metrics.items() if math.isfinite(value)}
    version = registry.register_result(
        project_id=job.project_id,
        model_name=job.result_name,
        kind="adapter" if job.scale == "lora" else "full",
        artifact_uri=report.artifact_uri,
        made_by=str(job.pk),
        base_version_id=job.base_version_id,
        dataset_version_id=job.dataset_version_id,
        metrics=metrics,
        files=report.files,
        tracking_run=tracking_run(job),
        recipe={
            "method": job.method,
            "scale": job.scale,
            "seed": job.seed,
            "grader": job.grader,
            "hyperparameters": job.resolved,
            "base_sha256": job.base_sha256,
            "dataset_sha256": job.dataset_sha256,
        }
        | report.details,
    )
    if version.phase != "ready":
        # Its files are still being taken in; a job that succeeded can be deployed.
        return None
    sending.hold_rows(job, version)
    return {
        "result_version_id": version.id,
        "metrics": metrics,
        "price": _price(job, metrics),
    }


def _price(job: TrainingJob, metrics: dict[str, float]) -> Decimal:
    """What the whole job cost; written in the ledger at the same moment."""
    # What a resumed job measured is of its last attempt alone.
    tokens = int(metrics["tokens"]) if job.attempt == 1 and "tokens" in metrics else None
    charging.charge(job, now=timezone.now(), tokens=tokens)
    return metering.cost_of(subject=f"training job {job.pk}", project_id=job.project_id)


def leftovers(job: TrainingJob) -> list[str]:
    """Prefixes of objects that go with the job; what the registry took over is not among them."""
    prefix = backends.objects().key(job.output_uri)
    if job.result_version_id is None:
        return [f"{prefix}/"]
    return [f"{prefix}/progress/", f"{prefix}/checkpoints/"]


def forget(job: TrainingJob) -> None:
    """Remove curves and checkpoints of a deleted job."""
    MetricPoint.objects.filter(job=job).delete()
    Checkpoint.objects.filter(job=job).delete()
