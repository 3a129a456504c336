"""A fine-tuning job, its events and its checkpoints as OpenAI shows them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from slipway.core import lifecycle
from slipway.core.models import Event
from slipway.door.models import FineTune, TunePhase
from slipway.door.services import files, tune_asks, tune_life, tuning, words
from slipway.registry import services as registry
from slipway.runs.record import Phase, remaining
from slipway.tenancy import services as tenancy
from slipway.training import services as training

EVENT, CHECKPOINT = "ftevent-", "ftckpt_"
#: What the message of a step says.
_TOLD = (
    ("training loss", "train_loss"),
    ("validation loss", "valid_loss"),
    ("reward", "train_reward_mean"),
    ("validation reward", "valid_reward_mean"),
)
_LEVELS = {"warning": "warn", "error": "error"}


def status_of(tune: FineTune, job: Any) -> str:
    """OpenAI's word for where it is; `paused` is its own example's, though not of its enum."""
    if tune.phase == TunePhase.VALIDATING:
        return "validating_files"
    if tune.phase != TunePhase.TRAINING:
        return str(tune.phase)
    if tune.paused_at is not None or (job and job.phase in {Phase.PAUSING, Phase.PAUSED}):
        return "paused"
    if job is None or job.phase == Phase.QUEUED:
        return "queued"
    return "cancelled" if job.phase in {Phase.CANCELLING, Phase.CANCELLED} else "running"


def shown(tune: FineTune, now: datetime) -> dict[str, Any]:
    job = tuning.job_of(tune)
    values = _values(tune, job)
    tokens = int(job.metrics.get("tokens", 0)) if job is not None else 0
    organisation = tenancy.project_fact(project_id=tune.project_id).organisation
    band = remaining(job, now=now) if job is not None else None
    held_out = tune.validation_file
    return {
        "id": words.public_id(tune_asks.PREFIX, tune.pk),
        "object": "fine_tuning.job",
        "created_at": words.seconds(tune.created_at),
        "finished_at": words.seconds(tune.finished_at),
        "estimated_finish": words.seconds(now + timedelta(seconds=band[1])) if band else None,
        "model": tune.model,
        "fine_tuned_model": tune.fine_tuned_model or None,
        "organization_id": f"org-{organisation}",
        "status": status_of(tune, job),
        "hyperparameters": values,
        "method": _method(tune, job, values),
        "seed": tune.seed,
        "training_file": words.public_id(files.PREFIX, tune.training_file_id),
        "validation_file": words.public_id(files.PREFIX, held_out.pk) if held_out else None,
        "result_files": (
            [words.public_id(files.PREFIX, tune.result_file_id)] if tune.result_file_id else []
        ),
        "trained_tokens": tokens or None,
        "integrations": None,
        "metadata": tune.metadata,
        "error": tune.error,
        "user_provided_suffix": tune.suffix or None,
        # Ours: why it is where it is, and the training job that does the work.
        "x_reason": tune.reason,
        "x_training_job": str(tune.training_job_id) if tune.training_job_id else None,
    }


def _values(tune: FineTune, job: Any) -> dict[str, Any]:
    """As given, with numbers in the place of "auto" once they are known."""
    names = ("n_epochs", "batch_size", "learning_rate_multiplier")
    if job is None or not job.resolved:
        return {name: tune.hyperparameters.get(name, "auto") for name in names}
    base = registry.version(project_id=tune.project_id, version_id=tune.base_version_id)
    rate = job.resolved["learning_rate"] / tune_asks.usual_rate(
        tune.method, registry.whole_of(base).parameters
    )
    return {
        "n_epochs": job.resolved["epochs"],
        "batch_size": job.resolved["batch_size"],
        "learning_rate_multiplier": round(rate, 6),
    }


def _method(tune: FineTune, job: Any, values: dict[str, Any]) -> dict[str, Any]:
    """The method with all its settings."""
    given, known = tune.hyperparameters, job.resolved if job is not None else {}
    if tune.method == "dpo":
        values = values | {"beta": known.get("beta", given.get("beta", "auto"))}
    elif tune.method == "reinforcement":
        answers = known.get("num_generations")
        values = values | {
            "compute_multiplier": (
                answers / tune_asks.USUAL_ANSWERS if answers else given["compute_multiplier"]
            ),
            "eval_interval": given["eval_interval"],
            "eval_samples": known.get("held_out_samples", given["eval_samples"]),
            "reasoning_effort": "default",
        }
    settings = {"hyperparameters": values}
    if tune.grader is not None:
        settings["grader"] = tune.grader
    return {"type": tune.method, tune.method: settings}


def events(tune: FineTune) -> list[dict[str, Any]]:
    """Everything told of it, newest first: moves, warnings, and one event per logged step."""
    job = tuning.job_of(tune)
    subjects = [lifecycle.subject_of(tune)]
    found: list[tuple[datetime, dict[str, Any]]] = []
    if job is not None:
        subjects.append(lifecycle.subject_of(job))
        found += [_step_event(job, step, v) for step, v in tune_life.steps_of(job).items()]
    found += [_event(e) for e in Event.objects.filter(subject__in=subjects).order_by("at", "pk")]
    found.sort(key=lambda pair: (pair[0], pair[1]["id"]), reverse=True)
    return [event for _, event in found]


def _event(event: Event) -> tuple[datetime, dict[str, Any]]:
    text = event.reason or f"The job is {event.target}"
    return event.at, {
        "id": words.public_id(EVENT, event.pk),
        "object": "fine_tuning.job.event",
        "created_at": words.seconds(event.at),
        "level": _LEVELS.get(event.level, "info"),
        "message": text,
        "type": "message",
        "data": event.data or None,
    }


def _step_event(job: Any, step: int, values: dict[str, Any]) -> tuple[datetime, dict[str, Any]]:
    at = values["at"]
    data = {"step": step, "total_steps": job.total_steps}
    data |= {name: value for name, value in values.items() if name != "at" and value is not None}
    losses = [f"{label}={data[name]:.4f}" for label, name in _TOLD if name in data]
    return at, {
        # Made of what it tells, so that it is the same each time it is told.
        "id": words.public_id(EVENT, uuid.uuid5(job.pk, str(step))),
        "object": "fine_tuning.job.event",
        "created_at": words.seconds(at),
        "level": "info",
        "message": f"Step {step}/{job.total_steps}: {', '.join(losses)}",
        "type": "metrics",
        "data": data,
    }


def checkpoints(tune: FineTune) -> list[dict[str, Any]]:
    """Complete checkpoints, newest first."""
    job = tuning.job_of(tune)
    if job is None:
        return []
    return [
        {
            "id": words.public_id(CHECKPOINT, each.pk),
            "object": "fine_tuning.job.checkpoint",
            "created_at": words.seconds(each.at),
            "fine_tuned_model_checkpoint": f"{tuning.name_of_result(tune)}:ckpt-step-{each.step}",
            "step_number": each.step,
            "fine_tuning_job_id": words.public_id(tune_asks.PREFIX, tune.pk),
            "metrics": {"step": each.step}
            | {CURVE: each.values[n] for n, CURVE in tune_life.CURVES.items() if n in each.values},
        }
        for each in reversed(list(training.checkpoints(job)))
    ]
