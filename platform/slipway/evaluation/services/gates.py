"""A gate: rules that scores must meet, and a plain sentence on what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What one candidate must reach by one metric in one group.

    `min`: the value itself must reach it. `not_worse`: it may lie below the baseline by no more
    than this margin. Whether a difference is more than chance is told beside the verdict, but
    does not soften it: with few rows a great loss may look like chance.
    """

    candidate: str
    metric: str
    group: str = ALL
    min: float | None = None
    not_worse: float | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of a rule; `text` says it in one sentence."""

    rule: Rule
    passed: bool
    value: float | None
    baseline: float | None
    text: str


Scores = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]


def judge(
    rules: Sequence[Rule], scores: Scores, paired: Sequence[Mapping[str, Any]], *, baseline: str
) -> list[Finding]:
    """One finding for each rule. A score that is missing fails its rule: unseen is not passed."""
    return [_judge(rule, scores, paired, baseline) for rule in rules]


def _judge(
    rule: Rule, scores: Scores, paired: Sequence[Mapping[str, Any]], baseline: str
) -> Finding:
    value = _value(scores, rule.candidate, rule)
    base = _value(scores, baseline, rule)
    where = f"{rule.metric} in group {rule.group!r}"
    if value is None:
        return Finding(
            rule=rule,
            passed=False,
            value=None,
            baseline=base,
            text=f"failed: there is no {where} for this candidate",
        )
    faults: list[str] = []
    merits: list[str] = []
    if rule.min is not None:
        said = f"{value:.3f} against at least {rule.min:.3f}"
        (merits if value >= rule.min else faults).append(said)
    if rule.not_worse is not None:
        if base is None:
            faults.append("the baseline has no such score")
        else:
            said = f"{value:.3f} against {base:.3f} of the baseline"
            if (p_value := _chance(rule, paired, baseline)) is not None:
                said += f" (paired p = {p_value:.3g})"
            # Rounding of the difference must not fail what lies exactly on the margin.
            (merits if value >= base - rule.not_worse - 1e-9 else faults).append(said)
    verdict = "failed" if faults else "passed"
    return Finding(
        rule=rule,
        passed=not faults,
        value=value,
        baseline=base,
        text=f"{verdict}: {where} is " + ", ".join(faults or merits),
    )


def _value(scores: Scores, candidate: str, rule: Rule) -> float | None:
    cell = scores.get(candidate, {}).get(rule.group, {}).get(rule.metric)
    return None if cell is None else cell.get("value")


def _chance(rule: Rule, paired: Sequence[Mapping[str, Any]], baseline: str) -> float | None:
    """p-value of the paired test between candidate and baseline, where there was one."""
    wanted = {rule.candidate, baseline}
    for row in paired:
        same = {row["a"], row["b"]} == wanted and row["metric"] == rule.metric
        if same and row.get("group", ALL) == rule.group:
            p_value = row.get("p_value")
            return None if p_value is None else float(p_value)
    return None
