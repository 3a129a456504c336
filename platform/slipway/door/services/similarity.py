"""How alike two texts are, from 0 to 1; BLEU besides what needs no library."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slipway_contracts.grading import similarity
from slipway_contracts.grading.similarity import LONGEST

__all__ = ["LONGEST", "MEASURES", "METRICS", "bleu", "cosine"]


def bleu(text: str, reference: str) -> float:
    import sacrebleu

    # Full marks come out as 100.00000000000004.
    return min(1.0, float(sacrebleu.sentence_bleu(text, [reference]).score) / 100)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of the angle between two vectors that are not zero."""
    lengths = math.hypot(*one) * math.hypot(*other)
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return product / lengths if lengths else 0.0


MEASURES = {**similarity.MEASURES, "bleu": bleu}
#: By name; a cosine is of embeddings, for which a model is asked.
METRICS = (*MEASURES, "cosine")
