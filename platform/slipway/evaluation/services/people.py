"""Scores that people give to answers: stored row by row, summed up beside the automatic ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from uuid import UUID

from django.db import transaction

from slipway.core.errors import Conflict, Detail, Invalid
from slipway.evaluation.models import EvaluationRun, Rating
from slipway.runs.record import Phase

#: What an answer is looked at for; each gets 1 (bad) to 5 (good).
DIMENSIONS = ("understanding", "writing", "logic", "facts", "instructions")
LEAST, MOST = 1, 5
#: From here on an answer counts as a good one.
GOOD = 4


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One candidate's score by one dimension: the mean over rows, its 95 % interval."""

    version_id: str
    name: str
    dimension: str
    mean: float
    low: float
    high: float
    #: Share of rows whose mean is good.
    good: float
    #: Rows that were rated, and people who rated them.
    n: int
    people: int


def rate(
    *, run: EvaluationRun, user_name: str, line: int, version_id: UUID, scores: Mapping[str, int]
) -> None:
    """Set what a person thinks of one answer, in place of what they thought; {} takes it back.

    Conflict before the evaluation has ended, Invalid for a candidate or dimension it has not.
    """
    if run.phase != Phase.SUCCEEDED:
        raise Conflict(f"Only answers that are there can be rated; the evaluation is {run.phase}.")
    if str(version_id) not in {each["version_id"] for each in run.candidates}:
        raise Invalid(
            "This is no candidate of the evaluation.",
            Detail(field="version_id", rule="one of its candidates", value=version_id),
        )
    for dimension, score in scores.items():
        if dimension not in DIMENSIONS:
            fix = ", ".join(DIMENSIONS)
            raise Invalid(
                f"There is no dimension {dimension[:80]!r}.",
                Detail(field="scores", rule="a known dimension", value=dimension, fix=fix),
            )
        if not LEAST <= score <= MOST:
            raise Invalid(
                f"{dimension} is rated {score}.",
                Detail(field=f"scores.{dimension}", rule=f"{LEAST} to {MOST}", value=score),
            )
    answer = {"run": run, "line": line, "version_id": version_id, "user_name": user_name}
    with transaction.atomic():
        Rating.objects.filter(**answer).delete()
        Rating.objects.bulk_create(
            Rating(**answer, dimension=dimension, score=score)
            for dimension, score in scores.items()
        )


def given_by(*, run: EvaluationRun, user_name: str) -> dict[tuple[int, str], dict[str, int]]:
    """What one person gave: line and candidate to their scores."""
    found: dict[tuple[int, str], dict[str, int]] = defaultdict(dict)
    rows = Rating.objects.filter(run=run, user_name=user_name).order_by("line", "version_id")
    for row in rows:
        found[row.line, str(row.version_id)][row.dimension] = row.score
    return dict(found)


def board(run: EvaluationRun) -> list[Cell]:
    """Candidates by dimension. A row counts once, with the mean of who rated it."""
    rated: dict[tuple[str, str], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    who: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in Rating.objects.filter(run=run).order_by("line", "pk"):
        at = (row.dimension, str(row.version_id))
        rated[at][row.line].append(row.score)
        who[at].add(row.user_name)
    cells = []
    for dimension in DIMENSIONS:
        for candidate in run.candidates:
            at = (dimension, candidate["version_id"])
            if at not in rated:
                continue
            rows = [fmean(scores) for scores in rated[at].values()]
            low, high = interval(rows)
            cells.append(
                Cell(
                    version_id=candidate["version_id"], name=candidate["name"],
                    dimension=dimension, mean=fmean(rows), low=low, high=high, n=len(rows),
                    good=sum(each >= GOOD for each in rows) / len(rows), people=len(who[at]),
                )
            )  # fmt: skip
    return cells


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of a mean, within the scale; all of the scale for one value."""
    if len(values) < 2:
        return float(LEAST), float(MOST)
    half = _t(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    mean = fmean(values)
    return max(mean - half, float(LEAST)), min(mean + half, float(MOST))


def _t(freedom: int) -> float:
    """97.5 % point of Student's t: exact for 1 and 2 degrees of freedom, else by its expansion
    around the normal's (Abramowitz & Stegun 26.7.5), right to 0.3 %."""
    p = 0.975
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z = NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
