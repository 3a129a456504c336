"""Scores of answers: per row, and as one figure over any set of rows.

A metric gives each row a vector of statistics; its figure is a function of their sum. So any
subset or resample of the rows is one sum away, for a mean, for F1 and for corpus BLEU alike.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
#: More distinct references than this are no labels but texts.
MOST_LABELS = 100

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One metric over the rows of one candidate."""

    #: Statistics per row (rows, k); NaN where the metric does not apply to the row.
    rows: Array
    finish: Callable[[Array], float]
    #: Whether each row is 0 or 1 and the figure their mean: intervals are then exact ones.
    binary: bool
    #: What a single row shows, or None where a row alone says nothing.
    each: list[float | None]


class NotApplicable(Exception):
    """The metric makes no sense for these references; the text says why."""


def score(metric: str, answers: Sequence[str | None], references: Sequence[str]) -> Scored:
    """All rows under one metric. An answer of None (the row failed) scores as an empty one.

    Raises KeyError for an unknown metric and NotApplicable.
    """
    return METRICS[metric](["" if a is None else a for a in answers], references)


def normalised(text: str) -> str:
    """A label as compared: width, case, spaces and a final full stop do not count."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".。")


def tokens(text: str) -> list[str]:
    """Each Chinese character, and each run of other letters or digits, in lower case."""
    return re.findall(rf"{HAN.pattern}|[^\W_{HAN.pattern[1:-1]}]+", text.lower())


def _exact_match(answers: list[str], references: Sequence[str]) -> Scored:
    return _binary([a.strip() == r.strip() for a, r in zip(answers, references, strict=True)])


def _contains(answers: list[str], references: Sequence[str]) -> Scored:
    return _binary([r.strip() in a for a, r in zip(answers, references, strict=True)])


def _accuracy(answers: list[str], references: Sequence[str]) -> Scored:
    pairs = zip(answers, references, strict=True)
    return _binary([normalised(a) == normalised(r) for a, r in pairs])


def _json_equal(answers: list[str], references: Sequence[str]) -> Scored:
    wanted = [_parsed(reference) for reference in references]
    if all(w is None for w in wanted):
        raise NotApplicable("no reference is JSON")
    given = [_parsed(answer) for answer in answers]
    pairs = zip(given, wanted, strict=True)
    # A reference that is no JSON (a refusal, say) is no case for this metric.
    return _binary([None if w is None else g == w for g, w in pairs])


def _macro_f1(answers: list[str], references: Sequence[str]) -> Scored:
    wanted = [normalised(reference) for reference in references]
    given = [normalised(answer) for answer in answers]
    labels = sorted(set(wanted))
    if len(labels) > MOST_LABELS:
        raise NotApplicable(
            f"the references are {len(labels)} different texts; labels are {MOST_LABELS} at most"
        )
    label = np.array(labels)
    is_wanted = (np.array(wanted)[:, None] == label).astype(np.float64)
    is_given = (np.array(given)[:, None] == label).astype(np.float64)

    def finish(sums: Array) -> float:
        right, named, true = np.split(sums, 3)
        present = true > 0
        if not present.any():
            return 0.0
        return float(np.mean(2 * right[present] / (named + true)[present]))

    rows = np.concatenate([is_wanted * is_given, is_given, is_wanted], axis=1)
    return Scored(rows=rows, finish=finish, binary=False, each=[None] * len(wanted))


# The libraries of BLEU and ROUGE take seconds to import, so they are where they are used: they
# would delay every start of the warm parent.


def _bleu(answers: list[str], references: Sequence[str]) -> Scored:
    from sacrebleu.metrics.bleu import BLEU

    chinese = any(HAN.search(reference) for reference in references)
    bleu = BLEU(tokenize="zh" if chinese else "13a", effective_order=True)
    found = [bleu.sentence_score(a, [r]) for a, r in zip(answers, references, strict=True)]
    rows = np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in found], dtype=np.float64)

    def finish(sums: Array) -> float:
        counts = [round(value) for value in sums]
        whole = BLEU.compute_bleu(
            counts[:4], counts[4:8], counts[8], counts[9], smooth_method="exp", max_ngram_order=4
        )
        return float(whole.score) / 100

    return Scored(rows=rows, finish=finish, binary=False, each=[s.score / 100 for s in found])


class _Tokenizer:
    """What rouge-score asks of a tokenizer; its own drops Chinese altogether."""

    def tokenize(self, text: str) -> list[str]:
        return tokens(text)


def _rouge(kind: str) -> Callable[[list[str], Sequence[str]], Scored]:
    def judge(answers: list[str], references: Sequence[str]) -> Scored:
        from rouge_score import rouge_scorer

        scorer = rouge_scorer.RougeScorer([kind], tokenizer=_Tokenizer())
        pairs = zip(answers, references, strict=True)
        return _mean([float(scorer.score(r, a)[kind].fmeasure) for a, r in pairs])

    return judge


#: By the names of slipway_contracts.metrics.
METRICS: dict[str, Callable[[list[str], Sequence[str]], Scored]] = {
    "exact_match": _exact_match,
    "contains": _contains,
    "json_equal": _json_equal,
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "bleu_4": _bleu,
    "rouge_1": _rouge("rouge1"),
    "rouge_2": _rouge("rouge2"),
    "rouge_l": _rouge("rougeL"),
}


def _binary(hits: Sequence[bool | None]) -> Scored:
    return _mean([None if hit is None else float(hit) for hit in hits], binary=True)


def _mean(values: Sequence[float | None], *, binary: bool = False) -> Scored:
    column = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    # The second statistic counts the rows, so that the sum knows its mean.
    rows = np.stack([column, np.ones_like(column)], axis=1)
    return Scored(
        rows=rows, finish=lambda sums: float(sums[0] / sums[1]), binary=binary, each=list(values)
    )


def _parsed(text: str) -> Any:
    """The JSON value, or None if the text is none (or is `null`, which is no answer either)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
