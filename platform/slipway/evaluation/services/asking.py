"""Ask for an evaluation: everything is checked first, then queued."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from slipway import backends
from slipway.capacity import services as capacity
from slipway.core.errors import Detail, Invalid
from slipway.datasets import services as datasets
from slipway.evaluation.models import EvaluationRun
from slipway.evaluation.services import charging
from slipway.evaluation.services.gates import Rule
from slipway.registry import services as registry
from slipway.runs import verbs
from slipway.runs.record import Phase, handle_of
from slipway_contracts.formats import RowKind
from slipway_contracts.metrics import METRICS
from slipway_contracts.workload import Kind, Workload

MOST_CANDIDATES = 8


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a user wants judged, as given. The first candidate is the baseline."""

    name: str
    candidates: Sequence[UUID]
    dataset_version_id: UUID
    metrics: Sequence[str] = ("exact_match",)
    max_tokens: int = 256
    gate: Sequence[Rule] = ()
    gpus: int = 0
    priority: int = 0


def create_run(
    *,
    project_id: UUID,
    ask: Ask,
    now: datetime,
    made_by: str = "",
    idempotency_key: str | None = None,
) -> EvaluationRun:
    """A queued evaluation; the first one's row where the key was used before.

    NotFound for an unknown model or dataset, Conflict for one that is not ready, Invalid for an
    unknown metric, a candidate named twice, or a rule about something that is not judged.
    """
    sha256 = verbs.fingerprint(dataclasses.asdict(ask))
    first = verbs.earlier(
        EvaluationRun, project_id=project_id, idempotency_key=idempotency_key, sha256=sha256
    )
    if first is not None:
        return first
    _check(ask)
    dataset = datasets.published_version(project_id=project_id, version_id=ask.dataset_version_id)
    if dataset.kind != RowKind.CHAT:
        raise Invalid(
            f"{dataset.label} holds {dataset.kind} rows; there is no answer to judge by.",
            Detail(field="dataset", rule="rows of messages", value=dataset.kind,
                   fix="name a version whose rows have questions and answers"),
        )  # fmt: skip
    versions = [
        registry.ready_version(project_id=project_id, version_id=version_id)
        for version_id in ask.candidates
    ]
    run_id = uuid.uuid4()
    run = EvaluationRun(
        pk=run_id,
        created_at=now,
        project_id=project_id,
        phase=Phase.QUEUED,
        reason="accepted; about to be sent to the cluster",
        look_at=now,
        name=ask.name,
        made_by=made_by,
        handle=handle_of(run_id),
        idempotency_key=idempotency_key or None,
        request_sha256=sha256,
        priority=ask.priority,
        output_uri=backends.objects().uri(f"projects/{project_id}/evals/{run_id}"),
        queued_at=now,
        dataset_version_id=ask.dataset_version_id,
        dataset_name=dataset.label,
        dataset_sha256=dataset.sha256,
        dataset_uri=dataset.uri,
        candidates=[_candidate(version) for version in versions],
        metrics=list(ask.metrics),
        max_tokens=ask.max_tokens,
        gpus=ask.gpus,
        gate=[dataclasses.asdict(rule) for rule in ask.gate],
    )
    return verbs.store(run, now=now, hold=hold)


def _candidate(version: registry.VersionFact) -> dict[str, str]:
    return {
        "version_id": str(version.id),
        "name": version.reference,
        "sha256": version.sha256,
        "base": version.base_uri or version.uri,
        "adapter": version.uri if version.base_uri else "",
        "trained_on": str(version.dataset_version_id or ""),
    }


def _check(ask: Ask) -> None:
    candidates = [str(version_id) for version_id in ask.candidates]
    faults = []
    if not 1 <= len(candidates) <= MOST_CANDIDATES or len(set(candidates)) != len(candidates):
        faults.append(
            Detail(
                field="candidates",
                rule=f"1 to {MOST_CANDIDATES} different model versions",
                value=len(candidates),
            )
        )
    for metric in ask.metrics:
        if metric not in METRICS:
            faults.append(
                Detail(field="metrics", rule="a known metric", value=metric, fix=", ".join(METRICS))
            )
    if not ask.metrics:
        faults.append(Detail(field="metrics", rule="at least one metric", fix=", ".join(METRICS)))
    for index, rule in enumerate(ask.gate):
        faults += _rule_faults(f"gate[{index}]", rule, candidates, ask)
    if faults:
        said = "; ".join(f"{fault.field}: {fault.rule}" for fault in faults)
        raise Invalid(f"This cannot be judged. {said}.", *faults)


def _rule_faults(field: str, rule: Rule, candidates: list[str], ask: Ask) -> list[Detail]:
    faults = []
    if rule.candidate not in candidates:
        faults.append(
            Detail(
                field=f"{field}.candidate",
                rule="one of the candidates",
                value=rule.candidate,
                fix=", ".join(candidates),
            )
        )
    if rule.metric not in ask.metrics:
        faults.append(
            Detail(
                field=f"{field}.metric",
                rule="one of the metrics asked for",
                value=rule.metric,
                fix=", ".join(ask.metrics),
            )
        )
    if rule.min is None and rule.not_worse is None:
        faults.append(
            Detail(
                field=field,
                rule="min, not_worse or both",
                fix='for instance {"min": 0.9} or {"not_worse": 0.02}',
            )
        )
    return faults


def hold(run: EvaluationRun) -> None:
    """Keep what is judged and what it is judged on from being deleted meanwhile."""
    label = f"evaluation {run.name}"
    for candidate in run.candidates:
        version_id = UUID(candidate["version_id"])
        registry.hold(version_id=version_id, holder=holder_of(run), label=label)
    datasets.hold(version_id=run.dataset_version_id, holder=holder_of(run))
    charging.reserve(run, now=timezone.now())


def let_go(run: EvaluationRun) -> None:
    """The inverse of `hold`; letting go twice is once."""
    for candidate in run.candidates:
        registry.release(version_id=UUID(candidate["version_id"]), holder=holder_of(run))
    datasets.release(holder=holder_of(run))
    charging.charge(run, timezone.now())


def holder_of(run: EvaluationRun) -> str:
    return f"evaluation {run.pk}"


def workload(run: EvaluationRun) -> Workload:
    """What the cluster is asked for by the run's current attempt."""
    return Workload(
        name=run.workload_name,
        kind=Kind.EVALUATE,
        inputs={"dataset": run.dataset_uri},
        settings={
            "candidates": [
                {"key": c["version_id"], "base": c["base"], "adapter": c["adapter"]}
                for c in run.candidates
            ],
            "metrics": run.metrics,
            "max_tokens": run.max_tokens,
        },
        output_uri=run.output_uri,
        attempt=run.attempt,
        submitted_at=run.created_at.timestamp(),
        priority=run.priority,
        queue=capacity.queue_of(project_id=run.project_id),
        gpus=run.gpus,
    )
