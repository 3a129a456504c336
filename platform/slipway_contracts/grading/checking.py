"""What is wrong with a grader that shall reward a training run; nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway_contracts.grading import formula
from slipway_contracts.grading.scoring import OPERATIONS
from slipway_contracts.grading.similarity import MEASURES

#: `bleu` is measured by those who have its library.
MEASURE_NAMES = (*MEASURES, "bleu")
MOST_GRADERS, LONGEST_TEXT = 20, 100_000
_TEXTS = {
    "string_check": ("name", "input", "reference", "operation"),
    "text_similarity": ("name", "input", "reference", "evaluation_metric"),
    "python": ("name", "source"),
    "multi": ("name", "calculate_output"),
}
#: They judge samples and evals, and reward nothing.
_JUDGES = {"score_model", "label_model"}
_CHOICES = {"operation": OPERATIONS, "evaluation_metric": MEASURE_NAMES}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Where, which rule, what was found, and what would do."""

    path: str
    rule: str
    value: Any
    fix: str


def check(grader: Any, path: str = "grader") -> list[Fault]:
    """All faults of a grader that needs no judge."""
    if not isinstance(grader, Mapping):
        fix = 'write {"type": "string_check", "name": …, "input": "{{sample.output_text}}", …}'
        return [Fault(path=path, rule="a grader is an object", value=grader, fix=fix)]
    kind = grader.get("type")
    if kind in _JUDGES:
        rule = "a grader that asks no model"
        fix = f"a judge would be asked for every answer tried; use one of {', '.join(_TEXTS)}"
        return [Fault(path=f"{path}.type", rule=rule, value=kind, fix=fix)]
    if kind not in _TEXTS:
        fix = f"one of {', '.join(_TEXTS)}"
        return [Fault(path=f"{path}.type", rule="a known type", value=kind, fix=fix)]
    faults = [
        Fault(path=f"{path}.{key}", rule="a text", value=grader.get(key), fix=f"give {key}")
        for key in _TEXTS[kind]
        if not isinstance(grader.get(key), str) or len(grader[key]) > LONGEST_TEXT
    ]
    for key, choices in _CHOICES.items():
        if key in _TEXTS[kind] and isinstance(grader.get(key), str) and grader[key] not in choices:
            fix = f"one of {', '.join(choices)}"
            found = Fault(path=f"{path}.{key}", rule="a choice", value=grader[key], fix=fix)
            faults.append(found)
    return faults or (_check_multi(grader, path) if kind == "multi" else [])


def _check_multi(grader: Mapping[str, Any], path: str) -> list[Fault]:
    within = grader.get("graders")
    if not isinstance(within, Mapping) or not 1 <= len(within) <= MOST_GRADERS:
        rule = f"1 to {MOST_GRADERS} graders by name"
        return [Fault(path=f"{path}.graders", rule=rule, value=within, fix="name them")]
    faults = [
        fault for name, each in within.items() for fault in check(each, f"{path}.graders.{name}")
    ]
    try:
        formula.check(grader["calculate_output"], set(within))
    except formula.BadFormula as error:
        fix = f"arithmetic over {', '.join(within)}: {error}"
        value = grader["calculate_output"]
        faults.append(
            Fault(path=f"{path}.calculate_output", rule="a formula", value=value, fix=fix)
        )
    return faults
