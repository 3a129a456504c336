"""Fine-tuning jobs: asked for, paused, resumed, cancelled; the work is a training job's."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from slipway.core import lifecycle, nudge, together
from slipway.core.errors import Conflict, NotFound, Refused
from slipway.deployments import services as deployments
from slipway.door.models import File, FineTune, TunePhase
from slipway.door.services import files, tune_asks, words
from slipway.door.services.words import Bad
from slipway.registry import services as registry
from slipway.runs.record import Phase
from slipway.tenancy import services as tenancy
from slipway.training import services as training

#: What a run may still be paused or cancelled in.
_RUNNING = (Phase.QUEUED, Phase.RUNNING)
_PAUSING_SECONDS = 15.0
_RACES = 5


def create(
    *,
    project_id: UUID,
    model: str,
    training_file: str,
    validation_file: str | None,
    suffix: str | None,
    seed: int | None,
    method: str,
    hyperparameters: dict[str, Any],
    grader: dict[str, Any] | None,
    metadata: dict[str, str] | None,
    made_by: str,
    key_id: UUID,
    now: datetime,
) -> FineTune:
    """A job whose files are looked at next, with what it may cost held for it.

    Bad or Gone for a model or file that cannot be used, BudgetSpent for more than is left.
    """
    base = base_of(project_id=project_id, model=model)
    with transaction.atomic():
        rows = _locked(project_id, training_file, now, param="training_file")
        held_out = None
        if validation_file is not None:
            held_out = _locked(project_id, validation_file, now, param="validation_file")
        tune = FineTune(
            created_at=now,
            project_id=project_id,
            made_by=made_by,
            key_id=key_id,
            model=model,
            base_version_id=base.id,
            training_file=rows,
            validation_file=held_out,
            suffix=suffix or "",
            seed=secrets.randbelow(2**31) if seed is None else seed,
            method=method,
            hyperparameters=hyperparameters,
            grader=grader,
            metadata=metadata,
            phase=TunePhase.VALIDATING,
            reason="the files are being checked",
            look_at=now,
        )
        tune.save(force_insert=True)
        text = f"Created fine-tuning job: {words.public_id(tune_asks.PREFIX, tune.pk)}"
        lifecycle.born(tune, now=now, reason=text)
        tune_asks.set_aside(tune, result=name_of_result(tune), now=now)
        nudge.soon(FineTune)
    return tune


def wait_for_files(*names: str | None, project_id: UUID, key_id: UUID, now: datetime) -> None:
    """Until they are checked or for long, so that what they would cost is known before a budget.

    Before anything is written, because who checks them writes too. What is wrong with them is
    for `create` to say.
    """
    with contextlib.suppress(Refused):
        found = [_usable(project_id, each, now, param="training_file") for each in names if each]
        tune_asks.wait_for_files(found, key_id=key_id)


def base_of(*, project_id: UUID, model: str) -> registry.VersionFact:
    """The model version that a name of the registry, of a deployment or a fine-tune stands for."""
    tuned = FineTune.objects.filter(project_id=project_id, fine_tuned_model=model)
    try:
        if (tune := tuned.first()) is not None and (job := job_of(tune)) is not None:
            return registry.ready_version(project_id=project_id, version_id=job.result_version_id)
        base = registry.resolve(project_id=project_id, reference=model)
    except NotFound as error:
        route = next(
            (r for r in deployments.routes() if (r.project_id, r.name) == (project_id, model)), None
        )
        if route is None:
            raise words.Gone(
                f"The model `{model[:100]}` does not exist or cannot be fine-tuned here; "
                "GET /api/v1/models lists what there is.",
                param="model",
                code="model_not_found",
            ) from error
        base = registry.ready_version(project_id=project_id, version_id=route.version_id)
    except Refused as error:
        raise Bad(error.message, param="model", code="model_not_available") from error
    return base


def _locked(project_id: UUID, file_id: str, now: datetime, *, param: str) -> File:
    """A deletion waits, and then finds that the file is needed."""
    file = _usable(project_id, file_id, now, param=param)
    File.objects.select_for_update().filter(pk=file.pk).first()
    return file


def _usable(project_id: UUID, file_id: str, now: datetime, *, param: str) -> File:
    file = files.of(project_id=project_id, file_id=file_id, now=now, param=param)
    if file.purpose != "fine-tune":
        raise Bad(
            f"{file_id} was uploaded for {file.purpose!r}; upload it with purpose 'fine-tune'.",
            param=param,
            code="invalid_file_purpose",
        )
    return file


def of(*, project_id: UUID, job_id: str) -> FineTune:
    key = words.row_id(tune_asks.PREFIX, job_id, what="fine-tune job", param="fine_tuning_job_id")
    found = rows(project_id=project_id).filter(pk=key).first()
    if found is None:
        raise words.no_such("fine-tune job", job_id, param="fine_tuning_job_id")
    return found


def rows(*, project_id: UUID) -> QuerySet[FineTune]:
    found = FineTune.objects.filter(project_id=project_id)
    return found.select_related("training_file", "validation_file", "result_file")


def job_of(tune: FineTune) -> Any:
    """The training job that does the work; None before there is one, or once it was deleted."""
    if tune.training_job_id is None:
        return None
    try:
        return training.job(project_id=tune.project_id, job_id=tune.training_job_id)
    except NotFound:
        return None


def cancel(tune: FineTune, *, now: datetime, by: str) -> None:
    """End it; checkpoints stay. Cancelling what is cancelled changes nothing."""
    together.begin()
    for _ in range(_RACES):
        try:
            _cancel(tune, now=now, by=by)
        except lifecycle.LostRace:
            # Its training began, or it ended, a moment ago: that is what is cancelled then.
            tune.refresh_from_db()
        else:
            nudge.soon(FineTune)
            return
    raise Conflict("This job changes just now; cancel it again in a moment.")


def _cancel(tune: FineTune, *, now: datetime, by: str) -> None:
    job = job_of(tune)
    if tune.phase == TunePhase.CANCELLED:
        return
    if tune.phase == TunePhase.TRAINING and job is not None and job.phase != Phase.CANCELLED:
        FineTune.objects.filter(pk=tune.pk).update(paused_at=None)
        tune.paused_at = None
        if job.phase == Phase.SUCCEEDED:
            raise Bad("The training has ended already; there is nothing left to cancel.")
        training.cancel(job, now=now, by=by)
    elif tune.phase in {TunePhase.TRAINING, TunePhase.VALIDATING}:
        with transaction.atomic():
            lifecycle.advance(
                tune, TunePhase.CANCELLED, now=now, reason=f"cancelled by {by}",
                finished_at=now, paused_at=None,
            )  # fmt: skip
            tune_asks.let_go(tune, now=now)
    else:
        raise Bad(f"This job has {tune.phase} already; there is nothing left to cancel.")


def pause(tune: FineTune, *, now: datetime, by: str) -> None:
    """Give its place away; it resumes from its latest checkpoint. Pausing twice is once."""
    together.begin()
    if tune.paused_at is not None:
        return
    job = job_of(tune)
    if tune.phase != TunePhase.TRAINING or job is None or job.phase not in _RUNNING:
        raise Bad(
            "Only a job that is queued or running can be paused; this one is "
            f"{tune.phase if job is None else job.phase}."
        )
    FineTune.objects.filter(pk=tune.pk).update(paused_at=now)
    tune.paused_at = now
    training.cancel(job, now=now, by=by)
    lifecycle.tell(tune, now=now, kind="pause", text="The job has been paused")


def resume(tune: FineTune, *, now: datetime, by: str) -> None:
    """Queue a paused job again. Resuming what is not paused changes nothing while it runs."""
    job = job_of(tune)
    if tune.paused_at is not None and job is not None:
        _wait_until_left(job)
    together.begin()
    if tune.phase == TunePhase.TRAINING and job is not None and job.phase == Phase.PAUSED:
        # Paused by the platform, or through its other API.
        training.resume(job, now=now, by=by)
    if tune.paused_at is None:
        if tune.phase == TunePhase.TRAINING:
            return
        raise Bad(f"This job is not paused; it has {tune.phase}.")
    if job is None:
        raise Bad("The training job behind this one was deleted; make a new one.")
    if job.phase == Phase.CANCELLED:
        training.retry(job, now=now, by=by)
    FineTune.objects.filter(pk=tune.pk).update(paused_at=None)
    tune.paused_at = None
    lifecycle.tell(tune, now=now, kind="resume", text="The job has been resumed")
    nudge.soon(FineTune)


def _wait_until_left(job: Any) -> None:
    """A job that was paused a moment ago has still to leave its place, which a worker writes."""
    deadline = time.monotonic() + _PAUSING_SECONDS
    while job.phase == Phase.CANCELLING and time.monotonic() < deadline:
        time.sleep(0.1)
        job.refresh_from_db()


def name_of_result(tune: FineTune) -> str:
    """`ft:<base>:<organisation>:<suffix>:<digits>`, which a deployment can be called.

    What is tuned further keeps the name of the whole model below it.
    """
    if tune.result_name:
        return tune.result_name
    base = registry.version(project_id=tune.project_id, version_id=tune.base_version_id)
    base_name = base.parent if base.base_uri else base.model_name
    organisation = tenancy.project_fact(project_id=tune.project_id).organisation
    parts = [_plain(base_name, 20), _plain(organisation, 12), _plain(tune.suffix, 14)]
    return ":".join(["ft", *parts, tune.pk.hex[:8]])


def _plain(text: str, length: int) -> str:
    return re.sub(r"[^a-zA-Z0-9.-]+", "-", text)[:length].strip("-")
