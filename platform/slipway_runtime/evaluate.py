"""Judges candidates on the same rows: answers, scores per group with intervals, paired tests."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from slipway_runtime import chats, files
from slipway_runtime.evaluation import answers as answering
from slipway_runtime.evaluation import metrics, statistics
from slipway_runtime.hosts.context import Context
from slipway_runtime.run import BadInput

ALL = "all"
SEED = 0


@dataclasses.dataclass(frozen=True)
class Case:
    """A row to judge by: what is asked, and the answer that is right."""

    index: int
    prompt: chats.Row
    reference: str

    @property
    def group(self) -> str:
        return self.prompt.group


def run(context: Context) -> None:
    """Judge every candidate; the first is the one the others are compared with.

    Settings: `candidates` (`key`, `base`, `adapter`), `metrics`, `max_tokens`; input: `dataset`,
    whose rows end in the assistant's right answer. A row that cannot be answered scores as an
    empty answer, is counted, and says why in `rows.jsonl`.
    """
    started = time.monotonic()
    settings = context.workload.settings
    names = list(settings["metrics"])
    if unknown := [name for name in names if name not in metrics.METRICS]:
        known = ", ".join(metrics.METRICS)
        raise BadInput(f"unknown metrics {', '.join(unknown)}; there are {known}")
    candidates = settings["candidates"]
    context.stage("reading the rows")
    cases = _cases(chats.read(context.input_dir("dataset")))
    answers = {}
    for number, candidate in enumerate(candidates):
        context.stage(f"candidate {number + 1} of {len(candidates)} answers")
        answers[candidate["key"]] = _answer(context, candidate, cases, before=number)
    context.stage("scoring")
    scored = _score(context, names, cases, answers)
    groups = {ALL: np.arange(len(cases))}
    for name in sorted({case.group for case in cases} - {"", ALL}):
        groups[name] = np.array([i for i, case in enumerate(cases) if case.group == name])
    scores, paired = _compare(scored, groups)

    artifact = context.scratch / "artifact"
    artifact.mkdir()
    with (artifact / "rows.jsonl").open("w", encoding="utf-8") as lines:
        for case in cases:
            lines.write(json.dumps(_row(case, answers, scored), ensure_ascii=False) + "\n")
    failed = {key: sum(a.text is None for a in found) for key, found in answers.items()}
    for key, count in failed.items():
        if count:
            context.warn(f"{key}: {count} of {len(cases)} rows have no answer and score as empty")
    context.finish(
        artifact,
        metrics={
            "rows": float(len(cases)),
            "failed_rows": float(sum(failed.values())),
            "seconds": time.monotonic() - started,
        },
        details={"scores": scores, "paired": paired, "failed": failed},
    )


def _cases(rows: Sequence[chats.Row]) -> list[Case]:
    """Prompt and reference of every row; BadInput names the first row without an answer."""
    cases = []
    for index, row in enumerate(rows):
        *asked, last = row.messages or [{}]
        if last.get("role") != "assistant" or not last.get("content") or not asked:
            raise BadInput(
                f"dataset line {row.line}: to judge by it a row must end in the assistant's "
                f"answer; its roles are {[message.get('role') for message in row.messages]}"
            )
        prompt = dataclasses.replace(row, messages=asked)
        cases.append(Case(index, prompt, last["content"]))
    return cases


def _answer(
    context: Context, candidate: dict[str, Any], cases: Sequence[Case], *, before: int
) -> list[answering.Answer]:
    """All answers of one candidate, told as progress over all candidates."""
    settings = context.workload.settings
    total = len(cases) * len(settings["candidates"])

    def done(count: int) -> None:
        if count % 10 == 0 or count == len(cases):
            step = before * len(cases) + count
            context.metrics(step=step, total_steps=total, epoch=0.0, values={"rows": float(step)})

    try:
        base = files.local_path(candidate["base"])
        adapter = files.local_path(candidate["adapter"]) if candidate.get("adapter") else None
    except (files.Missing, files.Damaged) as error:
        raise BadInput(f"candidate {candidate['key']} cannot be read: {error}") from error
    return answering.generate(
        base,
        adapter,
        [case.prompt for case in cases],
        max_tokens=int(settings.get("max_tokens") or 256),
        threads=int(settings.get("threads") or len(os.sched_getaffinity(0))),
        done=done,
    )


Scored = dict[str, dict[str, metrics.Scored]]


def _score(
    context: Context,
    names: Sequence[str],
    cases: Sequence[Case],
    answers: dict[str, list[answering.Answer]],
) -> Scored:
    """Candidate → metric → scores; a metric that makes no sense here is left out and told."""
    references = [case.reference for case in cases]
    scored: Scored = {key: {} for key in answers}
    for name in names:
        try:
            for key, found in answers.items():
                scored[key][name] = metrics.score(name, [a.text for a in found], references)
        except metrics.NotApplicable as error:
            context.warn(f"{name} is left out: {error}")
    return scored


def _compare(
    scored: Scored, groups: dict[str, Any]
) -> tuple[dict[str, dict[str, dict[str, Any]]], list[dict[str, Any]]]:
    """Scores by candidate, group and metric; and every candidate against the first."""
    first = next(iter(scored))
    scores: dict[str, dict[str, dict[str, Any]]] = {key: {} for key in scored}
    paired = []
    for group, members in groups.items():
        draws = _Draws()
        for key, by_metric in scored.items():
            scores[key][group] = {}
            for name, whole in by_metric.items():
                mine = _applicable(whole, members)
                if not len(mine):
                    continue
                scores[key][group][name] = _figure(whole, mine, draws)
                if key != first:
                    test = _paired(whole, scored[first][name], mine, draws)
                    paired.append({"a": key, "b": first, "metric": name, "group": group} | test)
    return scores, paired


class _Draws:
    """The resamples of one group, made when a metric first asks for that many rows."""

    def __init__(self) -> None:
        self._made: dict[int, statistics.Bootstrap] = {}

    def of(self, n: int) -> statistics.Bootstrap:
        return self._made.setdefault(n, statistics.Bootstrap(n, seed=SEED))


def _applicable(scored: metrics.Scored, members: Any) -> Any:
    """The members to which the metric applies (the same for all candidates)."""
    return members[~np.isnan(scored.rows[members]).any(axis=1)]


def _figure(scored: metrics.Scored, members: Any, draws: _Draws) -> dict[str, Any]:
    rows = scored.rows[members]
    value, n = scored.finish(rows.sum(axis=0)), len(rows)
    if scored.binary:
        low, high = statistics.wilson(float(rows[:, 0].sum()), n)
    else:
        bootstrap = draws.of(n)
        low, high = bootstrap.interval(bootstrap.values(rows, scored.finish))
    return {"value": value, "low": low, "high": high, "n": n}


def _paired(
    candidate: metrics.Scored, first: metrics.Scored, members: Any, draws: _Draws
) -> dict[str, Any]:
    """The difference candidate - first over the same rows."""
    a, b = candidate.rows[members], first.rows[members]
    if candidate.binary:
        difference, low, high = statistics.newcombe(a[:, 0], b[:, 0])
        p_value = statistics.mcnemar(a[:, 0], b[:, 0])
    else:
        bootstrap = draws.of(len(a))
        differences = bootstrap.values(a, candidate.finish) - bootstrap.values(b, first.finish)
        difference = candidate.finish(a.sum(axis=0)) - first.finish(b.sum(axis=0))
        low, high = bootstrap.interval(differences)
        p_value = bootstrap.p_value(differences)
    return {"difference": difference, "low": low, "high": high, "p_value": p_value, "n": len(a)}


def _row(case: Case, answers: dict[str, list[answering.Answer]], scored: Scored) -> dict[str, Any]:
    """One line of `rows.jsonl`."""
    found = {}
    for key, of_key in answers.items():
        answer = of_key[case.index]
        told = {name: each.each[case.index] for name, each in scored[key].items()}
        found[key] = {
            "answer": answer.text,
            "scores": {name: value for name, value in told.items() if value is not None},
        } | ({"error": answer.error} if answer.error else {})
    return {
        "index": case.index,
        "line": case.prompt.line,
        "group": case.group,
        "prompt": case.prompt.messages,
        "reference": case.reference,
        "candidates": found,
    }
