"""Permissions: a checkpoint that another project of the organisation may call by its name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from slipway.core.errors import Conflict
from slipway.door.models import FineTune
from slipway.door.services import org_shapes, tuning, words
from slipway.door.services.words import Bad
from slipway.traffic import services as traffic
from slipway.training import services as training

PREFIX = "cp_"
_MOST = 100


def checkpoint_of(*, project_id: UUID, name: str) -> str:
    """The name of a checkpoint, or of a finished fine-tune, of this project; Gone otherwise."""
    tuned, _, step = name.partition(":ckpt-step-")
    tune = FineTune.objects.filter(project_id=project_id, result_name=tuned).exclude(result_name="")
    found = tune.first()
    there = found is not None and (
        _has_step(found, step) if step else found.fine_tuned_model == name
    )
    if not there:
        raise words.no_such("checkpoint", name, param="fine_tuned_model_checkpoint")
    return name


def _has_step(tune: FineTune, step: str) -> bool:
    job = tuning.job_of(tune)
    number = int(step) if step.isdecimal() and len(step) < 10 else -1
    return job is not None and training.checkpoints(job).filter(step=number).exists()


def grant(
    *, project_id: UUID, name: str, to: Sequence[UUID], now: datetime
) -> list[dict[str, Any]]:
    """Let these projects call it; for one that may already, nothing changes."""
    if not 1 <= len(to) <= _MOST:
        raise Bad(f"project_ids names 1 to {_MOST} projects.", param="project_ids")
    if project_id in to:
        raise Bad("A project may call its own checkpoints.", param="project_ids")
    try:
        with transaction.atomic():
            given = [
                traffic.give_alias(
                    project_id=other, name=name, of_project_id=project_id, of_name=name, now=now
                )
                for other in to
            ]
    except Conflict as error:
        raise Bad(error.message, param="project_ids") from error
    return [shown(alias) for alias in given]


def granted(*, project_id: UUID, name: str, to: UUID | None = None) -> list[dict[str, Any]]:
    """Who may call it, oldest first."""
    return [shown(alias) for alias in _shared(project_id, name) if to in {None, alias.project_id}]


def revoke(*, project_id: UUID, name: str, permission_id: str) -> None:
    key = words.row_id(PREFIX, permission_id, what="permission", param="permission_id")
    for alias in _shared(project_id, name):
        if alias.id == key:
            traffic.drop_alias(alias.id)
            return
    raise words.no_such("permission", permission_id, param="permission_id")


def _shared(project_id: UUID, name: str) -> list[traffic.AliasFact]:
    found = traffic.aliases_of(project_id=project_id, name=name)
    return [alias for alias in found if alias.project_id != project_id]


def shown(alias: traffic.AliasFact) -> dict[str, Any]:
    return {
        "id": words.public_id(PREFIX, alias.id),
        "object": "checkpoint.permission",
        "created_at": words.seconds(alias.created_at),
        "project_id": words.public_id(org_shapes.PROJECT, alias.project_id),
    }
