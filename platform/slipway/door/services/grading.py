"""The score a grader gives a sample; judges are asked through the gateway."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass, field
from typing import Any

from slipway.door.services import similarity
from slipway.door.services.asking import Door, NoAnswer
from slipway.door.services.graders import (
    Grader,
    LabelModel,
    Multi,
    Python,
    ScoreModel,
    StringCheck,
    TextSimilarity,
)
from slipway_contracts.grading import formula, scoring, templates
from slipway_sandbox.jails import Jails
from slipway_sandbox.python import GraderFault, NoJail

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?")

#: Every kind of trouble that a client of this API looks for.
ERRORS = (
    "formula_parse_error", "sample_parse_error", "truncated_observation_error",
    "unresponsive_reward_error", "invalid_variable_error", "other_error",
    "python_grader_server_error", "python_grader_runtime_error", "model_grader_server_error",
    "model_grader_refusal_error", "model_grader_parse_error",
)  # fmt: skip


@dataclass(kw_only=True)
class Grade:
    """A score, what went wrong, and what judging has used."""

    score: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    #: Name of an error of ERRORS to what happened.
    errors: dict[str, str] = field(default_factory=dict)
    #: Model to tokens.
    tokens: dict[str, int] = field(default_factory=dict)
    #: What a judge said.
    said: str | None = None
    seconds: float = 0.0


def grade(grader: Grader, *, facts: dict[str, Any], door: Door, jails: Jails) -> Grade:
    """The grade of one sample; whatever goes wrong is in its errors, with a score of 0.

    Judges are asked through `door`, graders in Python run in `jails`.
    """
    began = time.monotonic()
    found = Grade()
    try:
        if isinstance(grader, Multi):
            _multi(grader, facts, door, jails, found)
        elif isinstance(grader, Python):
            found.score = jails.grade(grader.source, templates.sample_of(facts), facts["item"])
        else:
            found.score = _single(grader, facts, door, found)
    except templates.NoSuchField as error:
        found.errors["invalid_variable_error"] = str(error)
    except templates.NotJson as error:
        found.errors["sample_parse_error"] = str(error)
    except NoAnswer as error:
        found.errors["model_grader_server_error"] = str(error)
    except formula.BadFormula as error:
        found.errors["formula_parse_error"] = str(error)
    except GraderFault as error:
        found.errors["python_grader_runtime_error"] = str(error)
    except NoJail as error:
        found.errors["python_grader_server_error"] = str(error)
    except _Unreadable as error:
        found.errors["model_grader_parse_error"] = str(error)
    found.seconds = time.monotonic() - began
    return found


def passed(grader: Grader, score: float) -> bool:
    threshold = getattr(grader, "pass_threshold", None)
    if threshold is None and isinstance(grader, ScoreModel):
        # Half-way, where nothing is said.
        low, high = grader.range or (0.0, 1.0)
        threshold = (low + high) / 2
    return score >= (1.0 if threshold is None else threshold)


class _Unreadable(Exception):
    """A judge's answer says no score and no label."""


def _multi(grader: Multi, facts: dict[str, Any], door: Door, jails: Jails, found: Grade) -> None:
    for name, each in grader.graders.items():
        inner = grade(each, facts=facts, door=door, jails=jails)
        found.scores[name] = inner.score
        found.errors |= inner.errors
        for model, count in inner.tokens.items():
            found.tokens[model] = found.tokens.get(model, 0) + count
    if not found.errors:
        found.score = formula.evaluate(grader.calculate_output, found.scores)


def _single(
    grader: StringCheck | TextSimilarity | ScoreModel | LabelModel,
    facts: dict[str, Any],
    door: Door,
    found: Grade,
) -> float:
    if isinstance(grader, StringCheck):
        text = templates.render(grader.input, facts)
        return float(
            scoring.checked(grader.operation, text, templates.render(grader.reference, facts))
        )
    if isinstance(grader, TextSimilarity):
        text = templates.render(grader.input, facts)[: similarity.LONGEST]
        reference = templates.render(grader.reference, facts)[: similarity.LONGEST]
        if grader.evaluation_metric == "cosine":
            return _cosine(grader, text, reference, door, found)
        return similarity.MEASURES[grader.evaluation_metric](text, reference)
    messages = [message.rendered(facts) for message in grader.input]
    how = (
        "Answer with one of these labels and nothing else: " + ", ".join(grader.labels)
        if isinstance(grader, LabelModel)
        else "Answer with one number{} and nothing else.".format(
            f" from {grader.range[0]:g} to {grader.range[1]:g}" if grader.range else ""
        )
    )
    messages[-1]["content"] += f"\n\n{how}"
    answer = door.chat(grader.model, messages, grader.sampling_params or {})
    found.tokens[grader.model] = answer.prompt_tokens + answer.completion_tokens
    found.said = answer.text
    if isinstance(grader, LabelModel):
        return float(_label(grader.labels, answer.text) in grader.passing_labels)
    low, high = grader.range or (-math.inf, math.inf)
    return min(high, max(low, _number(answer.text)))


def _cosine(grader: TextSimilarity, text: str, reference: str, door: Door, found: Grade) -> float:
    model = grader.x_model or door.encoder()
    # An encoder refuses what has no tokens; nothing is like nothing.
    if not text.strip() or not reference.strip():
        return float(text.strip() == reference.strip())
    (one, other), tokens = door.embed(model, [text, reference])
    found.tokens[model] = tokens
    return similarity.cosine(one, other)


def _number(text: str) -> float:
    try:
        said = json.loads(text)
        said = said.get("result", said.get("score")) if isinstance(said, dict) else said
    except (ValueError, RecursionError):
        numbers = _NUMBER.findall(text)
        said = float(numbers[-1]) if numbers else None
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said):
        raise _Unreadable(f"the judge gave no number: {text[:200]!r}")
    return float(said)


def _label(labels: list[str], text: str) -> str:
    plain = text.strip().strip("\"'.`*").strip()
    for label in labels:
        if plain.lower() == label.lower():
            return label
    named = [label for label in labels if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text)]
    if len(named) != 1:
        raise _Unreadable(f"the judge named no one label: {text[:200]!r}")
    return named[0]
