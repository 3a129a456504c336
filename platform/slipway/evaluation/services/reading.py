"""What there is to see of evaluations: the runs, the scoreboard, and every row's answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from slipway import backends
from slipway.backends.objects import Missing
from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.evaluation.models import EvaluationRun, Score
from slipway.runs import verbs
from slipway.runs.record import Phase

#: A page of rows reads no more than this of the store.
PAGE_BYTES = 8 * 1024 * 1024


def run(*, project_id: UUID, run_id: UUID) -> EvaluationRun:
    """The evaluation, or NotFound."""
    return verbs.find(EvaluationRun, project_id=project_id, run_id=run_id, what="evaluation")


def runs(*, project_id: UUID, phase: str = "") -> QuerySet[EvaluationRun]:
    """The project's evaluations, of one phase if it is named; Invalid for a phase there is not."""
    if phase and phase not in Phase.values:
        raise Invalid(
            f"phase {phase!r} is unknown.",
            Detail(field="phase", rule="a known phase", value=phase, fix=", ".join(Phase.values)),
        )
    found = EvaluationRun.objects.filter(project_id=project_id).exclude(phase=Phase.DELETED)
    return found.filter(phase=phase) if phase else found


def scoreboard(run: EvaluationRun) -> list[dict[str, Any]]:
    """For each group and metric, the candidates' scores in the order they were given."""
    order = {c["version_id"]: index for index, c in enumerate(run.candidates)}
    names = {c["version_id"]: c["name"] for c in run.candidates}
    board: dict[tuple[str, str], list[dict[str, Any]]] = {}
    scores = Score.objects.filter(run=run).order_by("group", "metric", "version_id")
    for score in scores:
        board.setdefault((score.group, score.metric), []).append(
            {
                "version_id": score.version_id,
                "name": names.get(str(score.version_id), ""),
                "value": score.value,
                "low": score.low,
                "high": score.high,
                "n": score.n,
            }
        )
    return [
        {
            "group": group,
            "metric": metric,
            "scores": sorted(cells, key=lambda cell: order.get(str(cell["version_id"]), 99)),
        }
        # All rows together first, then group by group.
        for (group, metric), cells in sorted(board.items(), key=lambda i: (i[0][0] != "all", i[0]))
    ]


@dataclass(frozen=True, kw_only=True)
class RowPage:
    rows: list[dict[str, Any]]
    #: Byte offset of the next row; None after the last.
    next_offset: int | None


def row_page(run: EvaluationRun, *, offset: int, limit: int) -> RowPage:
    """Rows with prompt, reference, answers and scores, from a byte offset a page gave out."""
    key = rows_key(run)
    objects = backends.objects()
    size = objects.stat(key).size_bytes
    if offset > size:
        raise _bad_cursor(offset)
    rows: list[dict[str, Any]] = []
    at = offset
    with objects.open(key, start=offset) as stream:
        while len(rows) < limit and at - offset < PAGE_BYTES:
            line = stream.readline()
            if not line:
                break
            at += len(line)
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise _bad_cursor(offset) from error
    return RowPage(rows=rows, next_offset=at if at < size else None)


def _bad_cursor(offset: int) -> Invalid:
    return Invalid(
        "cursor is not one this API gave out; leave it out to start from the first row.",
        Detail(field="cursor", rule="as returned in next_cursor", value=offset),
    )


def rows_key(run: EvaluationRun) -> str:
    """Key of the object of per-row results; Conflict while there is none."""
    if not run.rows_uri:
        raise Conflict(f"There are no results yet: the evaluation is {run.phase}. {run.reason}")
    key = backends.objects().key(run.rows_uri)
    try:
        backends.objects().stat(key)
    except Missing as error:
        raise NotFound("The per-row results have gone from the store.") from error
    return key


def download_address(run: EvaluationRun, *, seconds: int = 3600) -> str:
    """An address anyone may GET the per-row results (JSON Lines) from for so long."""
    key = rows_key(run)
    return backends.objects().sign_get(key, seconds=seconds, filename=f"{run.name}-rows.jsonl")
