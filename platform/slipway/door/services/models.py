"""Deleting a fine-tuned model by the name it is called by."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from slipway.core.errors import Conflict, Forbidden, NotFound
from slipway.deployments import services as deployments
from slipway.door.models import FineTune, TunePhase
from slipway.door.services import tuning, words
from slipway.registry import services as registry
from slipway.traffic import services as traffic
from slipway.training import services as training


def delete(*, project_id: UUID, name: str, now: datetime, by: str) -> None:
    """Take a fine-tune and its checkpoints down and forget its weights; Forbidden for any other
    model."""
    tunes = FineTune.objects.filter(project_id=project_id, fine_tuned_model=name)
    tune = tunes.filter(phase=TunePhase.SUCCEEDED).first()
    if tune is None:
        routes = deployments.routes()
        if any((route.project_id, route.name) == (project_id, name) for route in routes):
            raise Forbidden(
                f"{name[:100]} is not a fine-tuned model; stop or delete its deployment under "
                "/api/v1/deployments."
            )
        raise words.Gone(
            f"The model `{name[:100]}` does not exist.", param="model", code="model_not_found"
        )
    if tune.deployment_id is not None:
        try:
            row = deployments.deployment_row(
                project_id=project_id, deployment_id=tune.deployment_id
            )
            deployments.delete(row, now=now, by=by)
        except NotFound:
            pass  # somebody took it down already; its weights are still to be forgotten
    traffic.drop_aliases(project_id=project_id, name=name)
    if (job := tuning.job_of(tune)) is not None:
        training.forget_checkpoints(job)
    FineTune.objects.filter(pk=tune.pk).update(model_deleted_at=now, fine_tuned_model="")


def forget_weights(now: datetime) -> None:
    """Delete versions whose model was deleted, once nothing is served from them any more."""
    doomed: QuerySet[FineTune] = FineTune.objects.filter(model_deleted_at__isnull=False)
    for tune in doomed.order_by("pk"):
        job = tuning.job_of(tune)
        version_id = job.result_version_id if job is not None else None
        if version_id is not None:
            try:
                registry.delete_version(
                    project_id=tune.project_id, version_id=version_id, now=now, by=tune.made_by
                )
            except Conflict:
                continue
            except NotFound:
                pass  # it is gone, as it should be
        FineTune.objects.filter(pk=tune.pk).update(model_deleted_at=None)
