"""The reward of an answer: the score that the run's grader gives it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slipway_contracts.grading import checking, scoring, similarity
from slipway_runtime.run import BadInput
from slipway_sandbox.jails import Jails
from slipway_sandbox.python import GraderFault, NoJail


def _bleu(text: str, reference: str) -> float:
    import sacrebleu

    return min(1.0, float(sacrebleu.sentence_bleu(text, [reference]).score) / 100)


MEASURES = {**similarity.MEASURES, "bleu": _bleu}


class Rewards:
    """Scores answers to items; what a grader cannot score earns nothing and is counted."""

    def __init__(self, grader: Any) -> None:
        if faults := checking.check(grader):
            told = "; ".join(f"{f.path}: {f.rule}, {f.fix}" for f in faults)
            raise BadInput(f"this grader cannot reward a run: {told}")
        self._grader: Mapping[str, Any] = grader
        self._jails = Jails()
        # The trainer names its curve by this.
        self.__name__ = "grader"

    def __call__(
        self,
        *,
        completions: Sequence[str],
        item: Sequence[str],
        log_metric: Callable[[str, float], None],
        **_more: Any,
    ) -> list[float]:
        """One reward an answer; `item` holds the row of each as JSON."""
        pairs = zip(completions, item, strict=True)
        found = [self._one(answer, json.loads(row)) for answer, row in pairs]
        log_metric("grader_errors", sum(score is None for score in found) / len(found))
        return [score or 0.0 for score in found]

    def _one(self, answer: str, item: Any) -> float | None:
        try:
            return scoring.score(
                self._grader, item=item, text=answer, measures=MEASURES, python=self._jailed
            )
        except NoJail as error:
            raise BadInput(f"graders in Python cannot run here: {error}") from error
        except scoring.NoScore as error:
            if error.of_item:
                # It would fail on this row for ever, whatever the model learns to say.
                raise BadInput(f"the grader does not fit the rows: {error}") from error
            return None

    def _jailed(self, source: str, sample: dict[str, Any], item: Any) -> float:
        try:
            return self._jails.grade(source, sample, item)
        except GraderFault as error:
            raise scoring.NoScore(str(error)) from error

    def close(self) -> None:
        """End what runs graders in Python."""
        self._jails.close()
