"""What there is to see of jobs: state, curves, checkpoints, and where results came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Max, Min, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from slipway.core.errors import Detail, Invalid, NotFound
from slipway.runs import verbs
from slipway.runs.record import Phase
from slipway.training.models import Checkpoint, MetricPoint, RunMirror, TrainingJob


def job(*, project_id: UUID, job_id: UUID) -> TrainingJob:
    """The job, or NotFound."""
    return verbs.find(TrainingJob, project_id=project_id, run_id=job_id, what="training job")


#: Made once; nobody evaluates it itself.
_LISTED = TrainingJob.objects.exclude(phase=Phase.DELETED).select_related("mirror")


def jobs(*, project_id: UUID, phase: str = "") -> QuerySet[TrainingJob]:
    """The project's jobs, of one phase if it is named; Invalid for a phase there is not."""
    if phase and phase not in Phase.values:
        raise Invalid(
            f"phase {phase!r} is unknown.",
            Detail(field="phase", rule="a known phase", value=phase, fix=", ".join(Phase.values)),
        )
    asked = {"project_id": project_id} | ({"phase": phase} if phase else {})
    return _LISTED.filter(**asked)


def metric_names(job: TrainingJob) -> list[dict[str, Any]]:
    """Each curve's name, its number of points, and its last point."""
    points = MetricPoint.objects.filter(job=job)
    found = points.values("name").annotate(points=Count("pk"), last_step=Max("step"))
    curves = {each["name"]: each for each in found.order_by("name")}
    ends = points.filter(step__in={each["last_step"] for each in curves.values()})
    last = {(name, step): value for name, step, value in ends.values_list("name", "step", "value")}
    return [each | {"last_value": last[name, each["last_step"]]} for name, each in curves.items()]


def metric_points(
    job: TrainingJob,
    *,
    names: list[str],
    from_step: int = 0,
    to_step: int | None = None,
    most: int | None = None,
    limit: int = 100_000,
) -> QuerySet[MetricPoint]:
    """Points of the curves named (of all, if none is), by step, both ends of the range included.

    With `most`, about so many of each curve: of equal stretches of steps the smallest and the
    largest value, so that no peak is lost, and the last step.
    """
    found = MetricPoint.objects.filter(job=job, step__gte=from_step)
    if to_step is not None:
        found = found.filter(step__lte=to_step)
    if names:
        found = found.filter(name__in=names)
    if most is not None:
        found = _thinned(found, most)
    return found.order_by("step", "name", "pk")[:limit]


def _thinned(points: QuerySet[MetricPoint], most: int) -> QuerySet[MetricPoint]:
    ends = points.aggregate(first=Min("step"), last=Max("step"))
    if ends["first"] is None:
        return points
    stretch = max(1, -(-2 * (ends["last"] - ends["first"] + 1) // most))
    if stretch == 1:
        return points
    place: dict[str, Any] = {"partition_by": [F("name"), F("step") / stretch]}
    return points.annotate(
        lowest=Window(RowNumber(), order_by="value", **place),
        highest=Window(RowNumber(), order_by="-value", **place),
    ).filter(Q(lowest=1) | Q(highest=1) | Q(step=ends["last"]))


@dataclass(frozen=True, kw_only=True)
class AdapterCheckpoint:
    """A state of a LoRA job that can answer upon the version it is trained from."""

    id: UUID
    project_id: UUID
    #: The model that the job makes.
    model: str
    step: int
    uri: str
    base_version_id: UUID
    #: The version that came of the job; None while there is none.
    version_id: UUID | None
    created_at: datetime


def adapter_checkpoints(base_version_ids: set[UUID]) -> list[AdapterCheckpoint]:
    """Every checkpoint of LoRA jobs upon these versions, in the order they were made; one query."""
    rows = (
        Checkpoint.objects.filter(job__scale="lora", job__whole_version_id__in=base_version_ids)
        .select_related("job")
        .order_by("created_at", "pk")
    )
    return [
        AdapterCheckpoint(
            id=row.pk,
            project_id=row.job.project_id,
            model=row.job.result_name,
            step=row.step,
            uri=row.uri,
            base_version_id=row.job.whole_version_id,
            version_id=row.job.result_version_id,
            created_at=row.created_at,
        )
        for row in rows
    ]


def checkpoints(job: TrainingJob) -> QuerySet[Checkpoint]:
    """Complete checkpoints, earliest step first."""
    return Checkpoint.objects.filter(job=job).order_by("step", "attempt", "pk")


def tracking_run(job: TrainingJob) -> str:
    """Id of the job's run in the experiment tracker; empty while there is none."""
    mirror: RunMirror | None = getattr(job, "mirror", None)
    return mirror.run if mirror else ""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """What a model version was made of. Hashes are SHA-256, lower-case hex."""

    version_id: UUID
    job_id: UUID
    job_name: str
    method: str
    scale: str
    seed: int
    hyperparameters: dict[str, Any]
    base_version_id: UUID
    base_name: str
    base_sha256: str
    dataset_version_id: UUID
    dataset_name: str
    dataset_sha256: str
    held_out_version_id: UUID | None
    held_out_name: str
    held_out_sha256: str
    tracking_run: str
    finished_at: datetime | None


def lineage(*, project_id: UUID, version_id: UUID) -> Lineage:
    """The job that made this version, and what the job stood on; NotFound if no job made it.

    A deleted job is still told of: its row stays as the record of where a version came from.
    """
    job = TrainingJob.objects.filter(project_id=project_id, result_version_id=version_id).first()
    if job is None:
        raise NotFound(f"No training job of this project made the version {version_id}.")
    same = [
        "method",
        "scale",
        "seed",
        "base_version_id",
        "base_name",
        "base_sha256",
        "dataset_version_id",
        "dataset_name",
        "dataset_sha256",
        "held_out_version_id",
        "held_out_name",
        "held_out_sha256",
        "finished_at",
    ]
    return Lineage(
        version_id=version_id,
        job_id=job.pk,
        job_name=job.name,
        hyperparameters=job.resolved,
        tracking_run=tracking_run(job),
        **{name: getattr(job, name) for name in same},
    )
