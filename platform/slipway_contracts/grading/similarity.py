"""How alike two texts are, from 0 to 1, by the field's standard measures.

Without a library: those that there are load half of scientific Python, which must not happen in
the process that live requests go through. Only BLEU is taken from one, by those who have it.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence

from slipway_contracts.grading.stemming import stem

#: Words; of scripts without spaces, single characters.
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
#: Longer texts would hold a worker for too long.
LONGEST = 20_000


def fuzzy_match(text: str, reference: str) -> float:
    """1 minus the insertions and deletions between them, as a share of both lengths."""
    both = len(text) + len(reference)
    return 2 * _common(text, reference) / both if both else 1.0


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, a column at a time as bits [Hyyrö 2004]."""
    places: dict[str, int] = {}
    for index, each in enumerate(a):
        places[each] = places.get(each, 0) | 1 << index
    mask = (1 << len(a)) - 1
    row = mask
    for each in b:
        shared = row & places.get(each, 0)
        row = ((row + shared) | (row - shared)) & mask
    return len(a) - row.bit_count()


def gleu(text: str, reference: str) -> float:
    """The lower of precision and recall of all 1- to 4-grams [Wu et al. 2016]."""
    said, wanted = text.split(), reference.split()
    ours = sum((_grams(said, n) for n in range(1, 5)), Counter[tuple[str, ...]]())
    theirs = sum((_grams(wanted, n) for n in range(1, 5)), Counter[tuple[str, ...]]())
    most = max(ours.total(), theirs.total())
    return (ours & theirs).total() / most if most else 0.0


def _grams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _rouge(n: int) -> Callable[[str, str], float]:
    """F-measure of common n-grams [Lin 2004]."""

    def measure(text: str, reference: str) -> float:
        ours, theirs = (_grams(_WORDS.findall(t.lower()), n) for t in (text, reference))
        both = ours.total() + theirs.total()
        return 2 * (ours & theirs).total() / both if both else 0.0

    return measure


def rouge_l(text: str, reference: str) -> float:
    """F-measure of the longest common subsequence of words [Lin 2004]."""
    ours, theirs = _WORDS.findall(text.lower()), _WORDS.findall(reference.lower())
    both = len(ours) + len(theirs)
    return 2 * _common(ours, theirs) / both if both else 0.0


def meteor(text: str, reference: str) -> float:
    """Words aligned if they are alike or have one stem, less a penalty for each break.

    [Banerjee & Lavie 2005], without its synonyms: they need WordNet's files.
    """
    ours, theirs = _WORDS.findall(text.lower()), _WORDS.findall(reference.lower())
    pairs = _aligned(ours, theirs)
    if not pairs:
        return 0.0
    precision, recall = len(pairs) / len(ours), len(pairs) / len(theirs)
    mean = 10 * precision * recall / (recall + 9 * precision)
    follows = sum(
        one[0] + 1 == other[0] and one[1] + 1 == other[1]
        for one, other in itertools.pairwise(pairs)
    )
    return mean * (1 - 0.5 * ((len(pairs) - follows) / len(pairs)) ** 3)


def _aligned(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places, each word in one at most, those of one word in their order."""
    pairs: list[tuple[int, int]] = []
    mine, yours = list(enumerate(ours)), list(enumerate(theirs))
    for form in (str, stem):
        places: dict[str, list[int]] = {}
        for place, word in yours:
            places.setdefault(form(word), []).append(place)
        found = [
            (place, there.pop())
            for place, word in reversed(mine)
            if (there := places.get(form(word)))
        ]
        pairs += found
        taken, given = {one for one, _ in found}, {other for _, other in found}
        mine = [each for each in mine if each[0] not in taken]
        yours = [each for each in yours if each[0] not in given]
    return sorted(pairs)


Measure = Callable[[str, str], float]
MEASURES: dict[str, Measure] = {
    "fuzzy_match": fuzzy_match,
    "gleu": gleu,
    "meteor": meteor,
    **{f"rouge_{n}": _rouge(n) for n in range(1, 6)},
    "rouge_l": rouge_l,
}
