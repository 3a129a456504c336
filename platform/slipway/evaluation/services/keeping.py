"""Take over what a judged run leaves behind: scores, comparisons, the gate's verdict."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from django.db import transaction

from slipway import backends
from slipway.core.errors import Detail, Invalid
from slipway.evaluation.models import EvaluationRun, Score
from slipway.evaluation.services import gates
from slipway_contracts.progress import Note
from slipway_contracts.workload import Report


def keep(run: EvaluationRun, note: Note) -> None:
    """An evaluation's notes are progress only; the scores come with the report."""


def harvest(run: EvaluationRun, report: Report) -> dict[str, Any]:
    """Store the scores, once, and judge the gate; returns fields to store with success."""
    scores, paired = report.details.get("scores"), report.details.get("paired", [])
    if not isinstance(scores, dict):
        raise Invalid(
            "The report has no scores.",
            Detail(field="report.json: details.scores", rule="candidate → group → metric → score"),
        )
    rows = [
        Score(
            run=run,
            version_id=candidate,
            group=group,
            metric=metric,
            value=_number(cell.get("value")),
            low=_number(cell.get("low")),
            high=_number(cell.get("high")),
            n=cell["n"],
        )
        for candidate, groups in scores.items()
        for group, metrics in groups.items()
        for metric, cell in metrics.items()
    ]
    with transaction.atomic():
        # A report that comes again after a retry replaces what the last one said.
        Score.objects.filter(run=run).delete()
        Score.objects.bulk_create(rows, batch_size=500)
    rules = [gates.Rule(**rule) for rule in run.gate]
    baseline = run.candidates[0]["version_id"]
    findings = gates.judge(rules, scores, paired, baseline=baseline)
    return {
        "paired": [{k: _plain(v) for k, v in row.items()} for row in paired],
        "summary": {k: _number(v) for k, v in report.metrics.items()},
        "rows_uri": f"{report.artifact_uri}/rows.jsonl",
        "gate_findings": [dataclasses.asdict(finding) for finding in findings],
        "gate_passed": all(finding.passed for finding in findings) if findings else None,
    }


def _number(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
    return _number(value) if isinstance(value, float) else value


def leftovers(run: EvaluationRun) -> list[str]:
    """Prefixes of objects that go with the run: all of them."""
    return [f"{backends.objects().key(run.output_uri)}/"]


def forget(run: EvaluationRun) -> None:
    Score.objects.filter(run=run).delete()
