"""Ask for a fine-tune: everything is checked first, then estimated, then queued."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Sum

from slipway import backends
from slipway.core import tenants
from slipway.core.errors import Detail, Invalid
from slipway.datasets import services as datasets
from slipway.editions import services as editions
from slipway.registry import services as registry
from slipway.runs import verbs
from slipway.runs.record import ACTIVE, Phase, handle_of
from slipway.training.models import RunMirror, TrainingJob
from slipway.training.services import charging, estimates, rows, sending
from slipway.training.services.estimates import Estimate
from slipway_contracts import hyperparameters
from slipway_contracts.formats import RowKind, shown
from slipway_contracts.grading import checking
from slipway_contracts.hyperparameters import Facts, Limits, Resolved

#: Fewer rows than this teach nothing that can be told from chance.
FEWEST_ROWS = 10
#: Of a model's name in the registry.
LONGEST_NAME = 63
_FIXES = {
    RowKind.CHAT: "publish a version whose rows have questions and answers",
    RowKind.PAIR: "publish a version whose rows have a preferred and another answer",
    RowKind.PROMPT: "publish a version whose rows end with a question, or with its answer",
}


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a user wants trained, as given."""

    name: str
    base_version_id: UUID
    dataset_version_id: UUID
    held_out_version_id: UUID | None = None
    #: Model name that the result becomes a version of; empty for `<base>-<name>`.
    result_name: str = ""
    method: str = "sft"
    scale: str = "lora"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    #: What rewards answers, where a method learns from rewards.
    grader: Mapping[str, Any] | None = None
    seed: int = 0
    workers: int = 1
    gpus: int = 0
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A checked request: the facts it stands on, its final values, and what it will need."""

    base: registry.VersionFact
    dataset: datasets.VersionFact
    held_out: datasets.VersionFact | None
    resolved: Resolved
    estimate: Estimate


def limits_of(base: registry.VersionFact) -> Limits:
    """What the model version sets bounds to; an adapter also by its own shape."""
    whole = registry.whole_of(base)
    return Limits(
        parameters=whole.parameters,
        positions=whole.context_length,
        hidden_size=whole.hidden_size,
        layers=whole.layers,
        vocabulary_size=whole.vocabulary_size,
        adapter_rank=base.adapter["rank"] if base.base_uri else 0,
        adapter_alpha=int(base.adapter["alpha"]) if base.base_uri else 0,
    )


def schema(
    *, project_id: UUID, method: str, scale: str, base_version_id: UUID | None
) -> tuple[hyperparameters.HyperParameter, ...]:
    """Hyper-parameters of a method at a scale, bounded by the model where one is named."""
    _check_method(method, scale)
    if base_version_id is None:
        return hyperparameters.schema(method, scale)
    base = registry.ready_version(project_id=project_id, version_id=base_version_id)
    return hyperparameters.schema(method, scale, limits_of(base))


def lengths(*, project_id: UUID, base_version_id: UUID, dataset_version_id: UUID) -> rows.Lengths:
    """How long a published version's rows are for a model, by its tokenizer and template."""
    base = registry.ready_version(project_id=project_id, version_id=base_version_id)
    dataset = datasets.published_version(project_id=project_id, version_id=dataset_version_id)
    return rows.measure(
        dataset_uri=dataset.uri, base_uri=base.base_uri or base.uri, row_count=dataset.rows
    )


@dataclass(frozen=True, kw_only=True)
class MeasuredRow:
    """A row with its number (from 0) and its tokens for the model it was measured for."""

    number: int
    tokens: int
    row: dict[str, Any]


def rows_between(
    *, project_id: UUID, base_version_id: UUID, dataset_version_id: UUID,
    low: int, high: int | None, offset: int, limit: int,
) -> tuple[list[MeasuredRow], int]:  # fmt: skip
    """Rows of `low` to `high` tokens from the `offset`-th of them on, and how many there are.

    `high` None is no bound. Of a large dataset they are those of the sample that its bars are of.
    """
    measured = lengths(
        project_id=project_id,
        base_version_id=base_version_id,
        dataset_version_id=dataset_version_id,
    )
    fit = measured.between(low, measured.longest if high is None else high)
    # People count rows from 1, files from 0.
    tokens = {each.number - 1: each.tokens for each in fit[offset : offset + limit]}
    found = datasets.rows_at(
        project_id=project_id, version_id=dataset_version_id, numbers=list(tokens)
    )
    return [MeasuredRow(number=n, tokens=tokens[n], row=row) for n, row in found], len(fit)


def plan(*, project_id: UUID, ask: Ask, now: datetime) -> Plan:
    """Check everything and estimate; creates nothing.

    NotFound for an unknown model or dataset, Conflict for one that is not ready, Invalid with
    details for values out of range, too few rows, or rows longer than the model can attend to.
    """
    _check_method(ask.method, ask.scale)
    _check_grader(ask)
    base = registry.ready_version(project_id=project_id, version_id=ask.base_version_id)
    _check_result_name(_result_name(ask, base))
    dataset = datasets.published_version(project_id=project_id, version_id=ask.dataset_version_id)
    held_out = None
    if ask.held_out_version_id is not None:
        held_out = datasets.published_version(
            project_id=project_id, version_id=ask.held_out_version_id
        )
    for role, rows_of in (("dataset", dataset), ("held_out", held_out)):
        wanted = hyperparameters.LEARNS_FROM[ask.method]
        if rows_of is not None and rows_of.kind not in wanted:
            kinds = " or ".join(wanted)
            raise Invalid(
                f"{rows_of.label} holds {rows_of.kind} rows; {ask.method} learns from {kinds}s.",
                Detail(field=role, rule=f"rows of kind {kinds}", value=rows_of.kind,
                       fix=_FIXES[wanted[0]]),
            )  # fmt: skip
    limits = limits_of(base)
    _check_values(ask, limits)
    if dataset.rows < FEWEST_ROWS:
        raise Invalid(
            f"{dataset.rows} rows are too few to train on.",
            Detail(
                field="dataset",
                rule=f"at least {FEWEST_ROWS} rows",
                value=dataset.rows,
                fix="add rows to the dataset and publish a new version",
            ),
        )
    lengths = rows.measure(
        dataset_uri=dataset.uri, base_uri=base.base_uri or base.uri, row_count=dataset.rows
    )
    _check_lengths(lengths, limits)
    resolved = hyperparameters.resolve(
        ask.method,
        ask.scale,
        ask.hyperparameters,
        facts=Facts(
            rows=dataset.rows,
            longest_tokens=lengths.longest,
            workers=ask.workers,
            gpus=ask.gpus,
        ),
        limits=limits,
    )
    estimate = estimates.estimate(
        project_id=project_id,
        base_name=base.reference,
        base_version_id=ask.base_version_id,
        method=ask.method,
        scale=ask.scale,
        resolved=resolved.values,
        rows=dataset.rows,
        tokens=lengths.tokens,
        limits=limits,
        workers=ask.workers,
        gpus=ask.gpus,
        now=now,
    )
    _check_room(ask, estimate)
    return Plan(base=base, dataset=dataset, held_out=held_out, resolved=resolved, estimate=estimate)


def _check_room(ask: Ask, estimate: Estimate) -> None:
    """Refuse what could never run here, before it takes the place of what could."""
    room = backends.compute().room()
    if room is None:
        return
    details = []
    if ask.workers > room.cpus:
        rule, fix = f"1…{room.cpus}", "each worker needs a CPU core of its own; ask for fewer"
        details.append(Detail(field="workers", rule=rule, value=ask.workers, fix=fix))
    if ask.gpus * ask.workers > room.gpus:
        rule, fix = f"0…{room.gpus} in all", "ask for fewer GPUs, or 0 to train on the CPU"
        details.append(Detail(field="gpus", rule=rule, value=ask.gpus, fix=fix))
    need = estimate.memory_bytes * ask.workers
    # On GPUs the weights lie in memory whose size is not known here.
    if not ask.gpus and need > room.memory_bytes:
        rule = f"at most {room.memory_bytes / 1e9:.1f} GB for all workers"
        fix = "lower batch_size or max_seq_len, ask for fewer workers, or train by LoRA"
        details.append(Detail(field="memory", rule=rule, value=f"{need / 1e9:.1f} GB", fix=fix))
    if details:
        raise Invalid("This machine can never run that.", *details)


def _result_name(ask: Ask, base: registry.VersionFact) -> str:
    return ask.result_name or f"{base.model_name}-{ask.name}"


def _check_result_name(name: str) -> None:
    # Found out now, not when the registry refuses what took hours to make.
    if len(name) > LONGEST_NAME:
        raise Invalid(
            f"The result would be called {name}, which is too long.",
            Detail(
                field="model",
                rule=f"at most {LONGEST_NAME} characters",
                value=name,
                fix="name the model that the result becomes a version of",
            ),
        )


def _check_method(method: str, scale: str) -> None:
    for key, value, known in (
        ("method", method, hyperparameters.METHODS),
        ("scale", scale, hyperparameters.SCALES),
    ):
        if value not in known:
            choices = ", ".join(known)
            raise Invalid(
                f"{key} {value!r} is unknown; there is {choices}.",
                Detail(field=key, rule="a known choice", value=value, fix=choices),
            )


def _check_grader(ask: Ask) -> None:
    if ask.method not in hyperparameters.REWARDED:
        if ask.grader is not None:
            raise Invalid(
                f"{ask.method} has no rewards.",
                Detail(field="grader", rule="none", fix="leave it out, or choose method grpo"),
            )
        return
    if faults := checking.check(ask.grader):
        said = "; ".join(f"{fault.path}: {fault.rule}, {fault.fix}" for fault in faults)
        raise Invalid(
            f"This grader cannot reward answers. {said}.",
            *(Detail(field=f.path, rule=f.rule, value=shown(f.value), fix=f.fix) for f in faults),
        )


def _check_values(ask: Ask, limits: Limits) -> None:
    faults = hyperparameters.check(ask.method, ask.scale, ask.hyperparameters, limits)
    if faults:
        said = "; ".join(f"{fault.key}: {fault.rule}, use {fault.fix}" for fault in faults)
        raise Invalid(
            f"Some hyper-parameters cannot be used. {said}.",
            *(
                Detail(field=f"hyperparameters.{f.key}", rule=f.rule, value=f.value, fix=f.fix)
                for f in faults
            ),
        )


def _check_lengths(lengths: rows.Lengths, limits: Limits) -> None:
    if not limits.positions:
        return
    long = [row for row in lengths.longest_rows if row.tokens > limits.positions]
    if long:
        raise Invalid(
            f"Rows are longer than the {limits.positions} tokens that the model can attend to.",
            *(
                Detail(
                    field=f"dataset, row {row.number}",
                    rule=f"at most {limits.positions} tokens",
                    value=row.tokens,
                    fix="shorten or split the row and publish a new version",
                )
                for row in long[:20]
            ),
        )


def set_aside(
    *, subject: str, project_id: UUID, key_id: UUID | None, ask: Ask, now: datetime
) -> None:
    """Set aside what a job would cost at most that is asked for later; BudgetSpent if it does not
    fit, and what `plan` raises."""
    checked = plan(project_id=project_id, ask=ask, now=now)
    charging.set_aside(
        subject=subject, project_id=project_id, key_id=key_id, base_name=checked.base.reference,
        tokens=checked.estimate.tokens, seconds=checked.estimate.seconds_high,
        workers=ask.workers, gpus=ask.gpus, now=now,
    )  # fmt: skip


def create_job(
    *,
    project_id: UUID,
    ask: Ask,
    now: datetime,
    made_by: str = "",
    key_id: UUID | None = None,
    idempotency_key: str | None = None,
) -> TrainingJob:
    """A queued job with its estimate; the first one's row where the key was used before."""
    sha256 = verbs.fingerprint(dataclasses.asdict(ask))
    first = verbs.earlier(
        TrainingJob, project_id=project_id, idempotency_key=idempotency_key, sha256=sha256
    )
    if first is not None:
        return first
    if ask.gpus:
        with tenants.everyone():
            active = TrainingJob.objects.filter(phase__in=ACTIVE).aggregate(sum=Sum("gpus"))["sum"]
        editions.check_room(what="gpus", used=(active or 0) + ask.gpus)
    checked = plan(project_id=project_id, ask=ask, now=now)
    base, dataset, held_out = checked.base, checked.dataset, checked.held_out
    job_id = uuid.uuid4()
    job = TrainingJob(
        pk=job_id,
        created_at=now,
        project_id=project_id,
        phase=Phase.QUEUED,
        reason="accepted; about to be sent to the cluster",
        look_at=now,
        name=ask.name,
        made_by=made_by,
        key_id=key_id,
        handle=handle_of(job_id),
        idempotency_key=idempotency_key or None,
        request_sha256=sha256,
        priority=ask.priority,
        output_uri=backends.objects().uri(f"projects/{project_id}/jobs/{job_id}"),
        queued_at=now,
        base_version_id=ask.base_version_id,
        whole_version_id=base.base_version_id or base.id,
        base_name=base.reference,
        base_sha256=base.sha256,
        result_name=_result_name(ask, base),
        dataset_version_id=ask.dataset_version_id,
        dataset_name=dataset.label,
        dataset_sha256=dataset.sha256,
        held_out_version_id=ask.held_out_version_id,
        held_out_name=held_out.label if held_out else "",
        held_out_sha256=held_out.sha256 if held_out else "",
        inputs=_inputs(base, dataset, held_out),
        method=ask.method,
        scale=ask.scale,
        grader=dict(ask.grader) if ask.grader else None,
        given=dict(ask.hyperparameters),
        resolved=checked.resolved.values,
        why=checked.resolved.why,
        seed=ask.seed,
        workers=ask.workers,
        gpus=ask.gpus,
        estimate=dataclasses.asdict(checked.estimate),
        total_steps=checked.estimate.steps,
    )
    return verbs.store(job, now=now, hold=_start_life)


def _inputs(
    base: registry.VersionFact,
    dataset: datasets.VersionFact,
    held_out: datasets.VersionFact | None,
) -> dict[str, str]:
    inputs = {"base": base.base_uri or base.uri, "dataset": dataset.uri}
    if base.base_uri:
        inputs["adapter"] = base.uri
    if held_out is not None:
        inputs["held_out"] = held_out.uri
    return inputs


def _start_life(job: TrainingJob) -> None:
    sending.hold(job)
    charging.reserve(job, now=job.created_at)
    RunMirror.objects.create(job=job, look_at=job.created_at)
