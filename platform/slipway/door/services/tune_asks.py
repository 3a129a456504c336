"""What training a fine-tuning job asks for, in the platform's words, and the money held for it."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from slipway.core.errors import Conflict, Refused
from slipway.datasets import services as datasets
from slipway.door.models import File, FilePhase, FineTune
from slipway.door.services import words
from slipway.metering import services as metering
from slipway.registry import services as registry
from slipway.tenancy import services as tenancy
from slipway.training import services as training
from slipway_contracts import hyperparameters as hyper

PREFIX = "ftjob-"
_SCALE = "lora"
#: This API's methods and the platform's.
METHODS = {"supervised": "sft", "dpo": "dpo", "reinforcement": "grpo"}
#: Names of ours that users meet under other names here.
_NAMES = {
    "epochs": "n_epochs",
    "learning_rate": "learning_rate_multiplier",
    "num_generations": "compute_multiplier",
    "save_steps": "eval_interval",
    "held_out_samples": "eval_samples",
}
_PARAMS = {"dataset": "training_file", "held_out": "validation_file", "model": "suffix"}
#: Answers to a question that a compute multiplier of 1 stands for.
USUAL_ANSWERS = 8
#: How long a request waits for its files to be checked, where what it costs has to fit a budget.
_CHECKING_SECONDS = 10.0


def ask_of(tune: FineTune, *, result: str, now: datetime) -> training.Ask:
    """The training that makes `result`, the name it will be called by; its files are checked."""
    base = registry.ready_version(project_id=tune.project_id, version_id=tune.base_version_id)
    held_out = tune.validation_file
    return training.Ask(
        name=words.public_id(PREFIX, tune.pk),
        base_version_id=tune.base_version_id,
        dataset_version_id=_published(tune.training_file, now),
        held_out_version_id=_published(held_out, now) if held_out else None,
        result_name=result.replace(":", "-")[:63],
        method=METHODS[tune.method],
        scale=_SCALE,
        hyperparameters=_values(tune, base),
        grader=tune.grader,
        seed=tune.seed,
    )


def _published(file: File, now: datetime) -> Any:
    version_id = file.dataset_version_id
    if version_id is None:
        raise Conflict("This file has no rows.")
    return datasets.publish(project_id=file.project_id, version_id=version_id, now=now).pk


def told(error: Refused, tune: FineTune) -> tuple[str, str | None]:
    """A refusal of the training in the words of this API: message and `param`."""
    field = error.details[0].field.split(",")[0] if error.details else ""
    file = {"dataset": tune.training_file, "held_out": tune.validation_file}.get(field)
    parts = [error.message]
    if file is not None:
        parts.append("Upload a file that has what is missing, and make a new job.")
    else:
        parts += [detail.fix for detail in error.details[:3] if detail.fix]
    text = " ".join(parts)
    for ours, theirs in {**{v: k for k, v in METHODS.items()}, **_NAMES}.items():
        text = re.sub(rf"\b{ours}\b", theirs, text)
    for each in (tune.training_file, tune.validation_file):
        if each is not None:
            # A file's rows are a dataset that nobody here has heard of.
            text = re.sub(rf"[\w.\- ]*{each.pk.hex}@\d+", words.public_id("file-", each.pk), text)
    return text, _PARAMS.get(field) or _setting(field, tune.method)


def _setting(field: str, method: str) -> str | None:
    place, _, name = field.partition(".")
    if place == "hyperparameters":
        return f"method.{method}.hyperparameters.{_NAMES.get(name, name)}"
    return f"method.{method}.{field}" if place.startswith("grader") else None


def wait_for_files(files: list[File], *, key_id: UUID) -> None:
    """Where a budget bounds what the key may spend: until the files are checked, or for long."""
    if not files or not _limited(files[0].project_id, key_id):
        return
    deadline = time.monotonic() + _CHECKING_SECONDS
    for file in files:
        while file.phase == FilePhase.UPLOADED and time.monotonic() < deadline:
            time.sleep(0.1)
            file.refresh_from_db()


def set_aside(tune: FineTune, *, result: str, now: datetime) -> None:
    """Hold what it would cost at most until its training does; BudgetSpent if that does not fit.

    Whatever else is wrong with it is told by the job. So is the price of files that take long
    to be checked.
    """
    files = [file for file in (tune.training_file, tune.validation_file) if file is not None]
    if any(file.phase != FilePhase.PROCESSED for file in files):
        return
    if not _limited(tune.project_id, tune.key_id):
        return
    try:
        with transaction.atomic():
            training.set_aside(
                subject=_subject(tune), project_id=tune.project_id, key_id=tune.key_id,
                ask=ask_of(tune, result=result, now=now), now=now,
            )  # fmt: skip
    except metering.BudgetSpent:
        raise
    except Refused:
        return


def let_go(tune: FineTune, *, now: datetime) -> None:
    """Of what was held for it: its training holds that now, or there will be none."""
    metering.release(subject=_subject(tune), now=now)


def _limited(project_id: UUID, key_id: UUID | None) -> bool:
    organisation_id = tenancy.project_fact(project_id=project_id).organisation_id
    return metering.limited(organisation_id=organisation_id, project_id=project_id, key_id=key_id)


def _subject(tune: FineTune) -> str:
    return f"fine-tune {tune.pk}"


def usual_rate(method: str, parameters: int) -> float:
    """The learning rate that a multiplier of 1 stands for."""
    limits = hyper.Limits(parameters=parameters)
    resolved = hyper.resolve(METHODS[method], _SCALE, {}, facts=hyper.Facts(rows=1), limits=limits)
    return float(resolved.values["learning_rate"])


def _values(tune: FineTune, base: registry.VersionFact) -> dict[str, Any]:
    given = {key: value for key, value in tune.hyperparameters.items() if value != "auto"}
    values: dict[str, Any] = {}
    if "n_epochs" in given:
        values["epochs"] = given["n_epochs"]
    values |= {key: given[key] for key in ("batch_size", "beta") if key in given}
    if "compute_multiplier" in given:
        # More compute is more answers tried to each question.
        answers = round(USUAL_ANSWERS * given["compute_multiplier"])
        values["num_generations"] = min(64, max(2, answers))
    if "eval_interval" in given:
        values |= {"save_strategy": "steps", "save_steps": given["eval_interval"]}
    if "eval_samples" in given:
        values["held_out_samples"] = min(16, given["eval_samples"])
    if "learning_rate_multiplier" in given:
        rate = given["learning_rate_multiplier"] * usual_rate(
            tune.method, registry.whole_of(base).parameters
        )
        values["learning_rate"] = min(rate, hyper.LEARNING_RATE_CEILING)
    return values
