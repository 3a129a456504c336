"""Walks a fine-tuning job through its life: files checked, training queued, the result served."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from slipway.core import lifecycle
from slipway.core.errors import Conflict, NotFound, Refused
from slipway.deployments import services as deployments
from slipway.door.models import FilePhase, FineTune, TunePhase
from slipway.door.services import files, tune_asks, tuning, words
from slipway.runs.record import Phase
from slipway.traffic import services as traffic
from slipway.training import services as training

_SOON, _STEADY = timedelta(milliseconds=300), timedelta(seconds=2)
#: A model that takes longer to come up does not hold its job back; calls are told that it starts.
_LONGEST_START = timedelta(minutes=3)
#: Names of ours, and what they are called here.
CURVES = {
    "loss": "train_loss",
    "token_accuracy": "train_mean_token_accuracy",
    "held_out_loss": "valid_loss",
    "held_out_token_accuracy": "valid_mean_token_accuracy",
    "reward_margin": "train_reward_margin",
    "reward_accuracy": "train_reward_accuracy",
    "held_out_reward_margin": "valid_reward_margin",
    "held_out_reward_accuracy": "valid_reward_accuracy",
    "reward": "train_reward_mean",
    "reward_std": "train_reward_std",
    "kl": "train_kl",
    "held_out_reward": "valid_reward_mean",
}


def look(tune: FineTune, now: datetime) -> timedelta | None:
    if tune.phase == TunePhase.VALIDATING:
        return _validate(tune, now)
    return _follow(tune, now)


def _validate(tune: FineTune, now: datetime) -> timedelta | None:
    given = {"training_file": tune.training_file, "validation_file": tune.validation_file}
    for param, file in given.items():
        if file is None:
            continue
        if file.phase == FilePhase.UPLOADED:
            return _SOON
        if file.phase == FilePhase.ERROR or file.dataset_version_id is None:
            _fail(tune, now, code=f"invalid_{param}", message=file.reason, param=param)
            return None
    try:
        _begin(tune, now)
    except Refused as error:
        text, where = tune_asks.told(error, tune)
        # 429 is money: what it would cost does not fit into a budget.
        code = words.NO_QUOTA if error.status == 429 else "invalid_training_request"
        _fail(tune, now, code=code, message=text, param=where)
    return None


def _begin(tune: FineTune, now: datetime) -> None:
    """Queue the training and know of it, or neither: nobody would end what nobody knows."""
    with transaction.atomic():
        # Who cancels at this moment waits, and then finds the training to end.
        here = FineTune.objects.select_for_update().filter(pk=tune.pk, phase=tune.phase)
        if not here.exists():
            raise lifecycle.LostRace(str(tune))
        name = tuning.name_of_result(tune)
        tune_asks.let_go(tune, now=now)
        job = _queue(tune, name, now)
        # On a deployment of its base it answers by this name, and so do its checkpoints.
        traffic.give_alias(
            project_id=tune.project_id, name=name, of_project_id=tune.project_id,
            of_name=job.result_name, now=now, with_checkpoints=True,
        )  # fmt: skip
        text = "Validating training files succeeded; the job is queued"
        lifecycle.advance(
            tune, TunePhase.TRAINING, now=now, reason=text, training_job_id=job.pk,
            result_name=name,
        )  # fmt: skip


def _queue(tune: FineTune, name: str, now: datetime) -> Any:
    """The training job; asked for again, it is the same one."""
    return training.create_job(
        project_id=tune.project_id,
        ask=tune_asks.ask_of(tune, result=name, now=now),
        now=now,
        made_by=tune.made_by,
        key_id=tune.key_id,
        idempotency_key=words.public_id(tune_asks.PREFIX, tune.pk),
    )


def _follow(tune: FineTune, now: datetime) -> timedelta | None:
    job = tuning.job_of(tune)
    if job is None:
        _fail(tune, now, code="job_deleted", message="The training job was deleted.")
    elif job.phase == Phase.FAILED:
        _fail(tune, now, code="training_failed", message=job.reason)
    elif job.phase == Phase.CANCELLED and tune.paused_at is None:
        lifecycle.advance(tune, TunePhase.CANCELLED, now=now, reason=job.reason, finished_at=now)
    elif job.phase == Phase.SUCCEEDED:
        return _serve(tune, job, now)
    else:
        reason = "paused" if tune.paused_at else job.reason
        lifecycle.annotate(tune, reason=reason)
        return _SOON if now - tune.created_at < timedelta(minutes=5) else _STEADY
    return None


def _serve(tune: FineTune, job: Any, now: datetime) -> timedelta | None:
    """Bring the result up under its name; the job has succeeded once it answers."""
    name = tuning.name_of_result(tune)
    route = next(
        (r for r in deployments.routes() if (r.project_id, r.name) == (tune.project_id, name)), None
    )
    if route is None and _answers_on_base(tune, job):
        _succeed(tune, job, name, None, now)
        return None
    if route is None:
        try:
            deployments.create(
                project_id=tune.project_id,
                model=str(job.result_version_id),
                name=name,
                made_by=tune.made_by,
                now=now,
            )
        except Conflict as error:
            lifecycle.annotate(tune, reason=error.message)
        except NotFound:
            _fail(tune, now, code="model_deleted", message="The trained model was deleted.")
            return None
        return _SOON
    late = now - (job.finished_at or now) > _LONGEST_START
    if not route.endpoints and route.state == "starting" and not late:
        lifecycle.annotate(tune, reason=f"starting the model: {route.reason}")
        return _SOON
    _succeed(tune, job, name, route, now)
    return None


def _answers_on_base(tune: FineTune, job: Any) -> bool:
    """Whether a deployment of the whole model below it answers for its adapters."""
    return any(
        (route.project_id, route.version_id) == (tune.project_id, job.whole_version_id)
        and route.takes_adapters
        and route.endpoints
        for route in deployments.routes()
    )


def _succeed(
    tune: FineTune, job: Any, name: str, route: deployments.Route | None, now: datetime
) -> None:
    """`route` is its own deployment; None where it answers on one of its base."""
    text = f"New fine-tuned model created: {name}"
    if route is None:
        text += ", on a deployment of its base"
    elif not route.endpoints:
        text += f"; its deployment is {route.state}: {route.reason}"
    with files.landing(project_id=tune.project_id) as landed:
        landed.write(curves_csv(job))
    with transaction.atomic():
        result = files.keep(
            project_id=tune.project_id,
            landed=landed,
            filename="step_metrics.csv",
            purpose="fine-tune-results",
            made_by=tune.made_by,
            now=now,
        )
        lifecycle.advance(
            tune,
            TunePhase.SUCCEEDED,
            now=now,
            reason=text,
            fine_tuned_model=name,
            deployment_id=route.deployment_id if route else None,
            result_file=result,
            finished_at=timezone.now(),
        )


def steps_of(job: Any) -> dict[int, dict[str, Any]]:
    """Step to its values in this API's words, with the time they were told at."""
    found: dict[int, dict[str, Any]] = {}
    for point in training.metric_points(job, names=list(CURVES)):
        values = found.setdefault(point.step, {"at": point.at})
        values[CURVES[point.name]] = point.value
    return found


def curves_csv(job: Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    steps = sorted(steps_of(job).items())
    first = list(CURVES.values())[:4]
    # Beside OpenAI's columns those that the method has besides.
    names = first + [n for n in list(CURVES.values())[4:] if any(n in v for _, v in steps)]
    writer.writerow(
        ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy",
         *names[4:]]
    )  # fmt: skip
    for step, values in steps:
        writer.writerow([step, *("" if (v := values.get(n)) is None else v for n in names)])
    return text.getvalue().encode()


def _fail(
    tune: FineTune, now: datetime, *, code: str, message: str, param: str | None = None
) -> None:
    error = words.error_object(message, code=code, param=param)
    tune_asks.let_go(tune, now=now)
    lifecycle.advance(tune, TunePhase.FAILED, now=now, reason=message, error=error, finished_at=now)
