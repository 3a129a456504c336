"""The score of an answer by a grader that needs no judge: a comparison, a likeness, a formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slipway_contracts.grading import formula, templates
from slipway_contracts.grading.similarity import LONGEST, Measure

#: Runs a grader in Python: source, sample and item to a score; NoScore if it has none.
Python = Callable[[str, dict[str, Any], Any], float]
OPERATIONS = ("eq", "ne", "like", "ilike")


class NoScore(Exception):
    """The grader cannot be used on this answer; the text says why."""

    def __init__(self, text: str, *, of_item: bool = False) -> None:
        super().__init__(text)
        #: It is the row that lacks something, whatever the answer.
        self.of_item = of_item


def score(
    grader: Mapping[str, Any],
    *,
    item: Any,
    text: str,
    measures: Mapping[str, Measure],
    python: Python,
) -> float:
    """The score of `text`; NoScore where a field is missing, JSON is none, or a formula fails.

    `grader` is in the form of the API, and was checked. `item` is the row it is about.
    """
    try:
        return _score(grader, templates.facts_of(item, text), measures, python)
    except templates.NoSuchField as error:
        raise NoScore(str(error), of_item="{{item" in str(error)) from error
    except templates.NotJson as error:
        raise NoScore(str(error)) from error
    except formula.BadFormula as error:
        raise NoScore(f"calculate_output: {error}") from error


def _score(
    grader: Mapping[str, Any],
    facts: dict[str, Any],
    measures: Mapping[str, Measure],
    python: Python,
) -> float:
    match grader["type"]:
        case "string_check":
            said, wanted = _rendered(grader, facts)
            return float(checked(grader["operation"], said, wanted))
        case "text_similarity":
            said, wanted = (each[:LONGEST] for each in _rendered(grader, facts))
            return measures[grader["evaluation_metric"]](said, wanted)
        case "python":
            return python(grader["source"], templates.sample_of(facts), facts["item"])
        case "multi":
            scores = {
                name: _score(each, facts, measures, python)
                for name, each in grader["graders"].items()
            }
            return formula.evaluate(grader["calculate_output"], scores)
    raise NoScore(f"a grader of type {grader['type']!r} needs a judge")


def _rendered(grader: Mapping[str, Any], facts: dict[str, Any]) -> tuple[str, str]:
    return (
        templates.render(grader["input"], facts),
        templates.render(grader["reference"], facts),
    )


def checked(operation: str, text: str, reference: str) -> bool:
    """Whether a `string_check` passes."""
    match operation:
        case "eq":
            return text == reference
        case "ne":
            return text != reference
        case "like":
            return reference in text
    return reference.lower() in text.lower()
