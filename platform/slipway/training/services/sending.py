"""What a job asks of the cluster, and what it keeps others from deleting meanwhile."""

from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from slipway.capacity import services as capacity
from slipway.datasets import services as datasets
from slipway.registry import services as registry
from slipway.training.models import TrainingJob
from slipway.training.services import charging
from slipway_contracts.workload import Kind, Workload


def hold(job: TrainingJob) -> None:
    """Keep what the job stands on from being deleted while it may still run."""
    holder = holder_of(job)
    label = f"training job {job.name}"
    registry.hold(version_id=job.base_version_id, holder=holder, label=label)
    for version_id in (job.dataset_version_id, job.held_out_version_id):
        if version_id is not None:
            datasets.hold(version_id=version_id, holder=holder)


def let_go(job: TrainingJob) -> None:
    """The inverse of `hold`; letting go twice is once."""
    holder = holder_of(job)
    registry.release(version_id=job.base_version_id, holder=holder)
    datasets.release(holder=holder)
    charging.charge(job, now=timezone.now())


#: A model keeps the rows it learnt from, so that its lineage leads somewhere.
_MODEL = "model version "


def hold_rows(job: TrainingJob, version: registry.VersionFact) -> None:
    """Keep the rows from being deleted while the model that learnt from them is there."""
    holder = f"{_MODEL}{version.reference} ({version.id})"
    datasets.hold(version_id=job.dataset_version_id, holder=holder)


def let_rows_go() -> None:
    """Rows whose model was deleted may be deleted too."""
    for holder in datasets.holders(prefix=_MODEL):
        if not registry.exists(UUID(holder[-37:-1])):
            datasets.release(holder=holder)


def holder_of(job: TrainingJob) -> str:
    return f"training job {job.pk}"


def workload(job: TrainingJob) -> Workload:
    """What the cluster is asked for by the job's current attempt."""
    return Workload(
        name=job.workload_name,
        kind=Kind.TRAIN,
        inputs=job.inputs,
        settings={
            "method": job.method,
            "scale": job.scale,
            "hyperparameters": job.resolved,
            "seed": job.seed,
            "grader": job.grader,
        },
        output_uri=job.output_uri,
        attempt=job.attempt,
        submitted_at=job.created_at.timestamp(),
        priority=job.priority,
        queue=capacity.queue_of(project_id=job.project_id),
        workers=job.workers,
        gpus=job.gpus,
    )
