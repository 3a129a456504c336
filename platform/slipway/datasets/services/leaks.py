"""Find rows of one version that are, nearly or wholly, in another.

Two rows are a pair if the Jaccard similarity of their character 5-grams reaches the threshold.
The search is exact, not sampled: with the 5-grams of a row in one global order, rarest first,
two rows that similar must share a 5-gram among the first few of each (prefix filtering), so
only those are looked up and only rows that meet there are compared in full.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt

from slipway.core import nudge
from slipway.core.errors import Detail, Invalid, NotFound
from slipway.core.lifecycle import born
from slipway.datasets.models import ErrandPhase, LeakCheck, Version
from slipway.datasets.services import rows
from slipway.datasets.services.checking import Progress
from slipway.datasets.services.facts import version_of
from slipway_contracts import formats

GRAM = 5
MAX_PAIRS = 1000
#: 5-grams of the smaller version that are held at once (8 bytes each, a few arrays of them).
_BATCH_GRAMS = 4_000_000
_SCOPES = ("prompt", "row")
_NOISE = re.compile(r"[\W_]+")

Grams = npt.NDArray[np.uint64]


@dataclass(kw_only=True)
class Leaks:
    pair_count: int = 0
    #: Rows of the first version that have a likeness in the other.
    leaking_rows: int = 0
    pairs: list[dict[str, Any]] = field(default_factory=list)


def start(
    *,
    project_id: UUID,
    version_id: UUID,
    other_id: UUID,
    now: datetime,
    threshold: float = 0.8,
    scope: str = "prompt",
) -> LeakCheck:
    """Let the worker look for rows of `version` that are (nearly) in `other`."""
    if not 0.3 <= threshold <= 1:
        raise Invalid(
            "threshold is a similarity from 0.3 to 1.",
            Detail(field="threshold", rule="0.3…1", value=threshold),
        )
    if scope not in _SCOPES:
        raise Invalid(
            "scope is prompt or row.", Detail(field="scope", rule="prompt, row", value=scope)
        )
    version = version_of(project_id=project_id, version_id=version_id)
    other = version_of(project_id=project_id, version_id=other_id)
    if version.pk == other.pk:
        raise Invalid(
            "A version is compared with another one.", Detail(field="other", rule="another version")
        )
    check = LeakCheck.objects.create(
        project_id=project_id,
        version=version,
        other=other,
        threshold=threshold,
        scope=scope,
        phase=ErrandPhase.QUEUED,
        reason="waiting for the worker",
        look_at=now,
    )
    born(check, now=now, reason=check.reason)
    nudge.soon(LeakCheck)
    return check


def leak_check_of(*, project_id: UUID, check_id: UUID) -> LeakCheck:
    found = LeakCheck.objects.filter(pk=check_id, project_id=project_id).first()
    if found is None:
        raise NotFound("There is no such leak check in this project.")
    return found


def find(check: LeakCheck, progress: Progress) -> Leaks:
    """All pairs between the two versions of a check."""
    # The smaller one is indexed, the larger one streams past.
    swapped = check.version.rows > check.other.rows
    small, large = (check.other, check.version) if swapped else (check.version, check.other)
    found = Leaks()
    leaking: set[int] = set()
    for index in _indexes(small, check.scope, check.threshold):
        for number, text in texts(large, check.scope):
            grams = grams_of(text)
            for inner, similarity in index.similar(grams):
                mine, theirs = (number, inner) if swapped else (inner, number)
                found.pair_count += 1
                leaking.add(mine)
                if len(found.pairs) < MAX_PAIRS:
                    shown = (text, index.texts[inner - index.first])
                    found.pairs.append(
                        {
                            "row": mine,
                            "other_row": theirs,
                            "similarity": round(similarity, 4),
                            "text": shown[0 if swapped else 1][:200],
                            "other_text": shown[1 if swapped else 0][:200],
                        }
                    )
            if not number % 1000:
                progress(0, number)
    found.pairs.sort(key=lambda pair: (pair["row"], pair["other_row"]))
    found.leaking_rows = len(leaking)
    return found


def texts(version: Version, scope: str) -> Iterator[tuple[int, str]]:
    """What is compared of each row: its questions, or everything that is said in it."""
    with rows.lines_from(version) as lines:
        for number, line in enumerate(lines):
            row = msgspec.json.decode(line)
            yield number, text_of(row, scope)


def text_of(row: dict[str, Any], scope: str) -> str:
    messages = formats.conversation(row)
    if scope == "row" or not messages:
        return "\n".join(formats.texts(row))
    said = [m for m in messages if m["role"] == "user"]
    return "\n".join(m.get("content") or "" for m in said)


def grams_of(text: str) -> Grams:
    """Hashes of the distinct 5-grams of a text, sorted; case, width and punctuation aside."""
    plain = _NOISE.sub("", unicodedata.normalize("NFKC", text).lower())
    points = np.frombuffer(plain.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    length = max(1, len(points) - GRAM + 1)
    hashes = np.zeros(length, dtype=np.uint64)
    for at in range(min(GRAM, len(points))):
        hashes = hashes * np.uint64(0x100000001B3) + points[at : at + length]
    # Neighbouring code points must not give neighbouring hashes: the order shall be random.
    hashes ^= hashes >> np.uint64(29)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(32)
    return np.unique(hashes)


def _indexes(version: Version, scope: str, threshold: float) -> Iterator[_Index]:
    batch: list[Grams] = []
    shown: list[str] = []
    first = size = 0
    for number, text in texts(version, scope):
        batch.append(grams_of(text))
        shown.append(text[:200])
        size += len(batch[-1])
        if size >= _BATCH_GRAMS:
            yield _Index(batch, shown, first, threshold)
            batch, shown, first, size = [], [], number + 1, 0
    if batch:
        yield _Index(batch, shown, first, threshold)


class _Index:
    """Rows by the 5-grams of their prefixes."""

    def __init__(self, batch: list[Grams], shown: list[str], first: int, threshold: float) -> None:
        self.texts, self.first = shown, first
        self._threshold, self._rows = threshold, batch
        self._known, counts = np.unique(np.concatenate(batch), return_counts=True)
        # Rank of each known 5-gram when the rarest come first.
        self._rank = np.empty(len(self._known), dtype=np.int64)
        self._rank[np.argsort(counts, kind="stable")] = np.arange(len(self._known))
        self._postings: defaultdict[int, list[int]] = defaultdict(list)
        for at, grams in enumerate(batch):
            ranks = np.sort(self._rank[np.searchsorted(self._known, grams)])
            for rank in ranks[: self._prefix(len(grams))].tolist():
                self._postings[rank].append(at)

    def _prefix(self, size: int) -> int:
        return size - math.ceil(self._threshold * size - 1e-9) + 1

    def similar(self, grams: Grams) -> Iterator[tuple[int, float]]:
        """Rows as similar as asked to one with these 5-grams, with their similarity."""
        places = np.searchsorted(self._known, grams)
        places[places == len(self._known)] = 0
        here = self._known[places] == grams
        # 5-grams we have not come first in the order (nothing is rarer) and match nothing.
        left = self._prefix(len(grams)) - int(np.count_nonzero(~here))
        if left <= 0:
            return
        ranks = np.sort(self._rank[places[here]])[:left]
        met = {at for rank in ranks.tolist() for at in self._postings.get(rank, ())}
        for at in sorted(met):
            mine = self._rows[at]
            shorter, longer = sorted((len(mine), len(grams)))
            if shorter < self._threshold * longer:
                continue
            shared = len(np.intersect1d(mine, grams, assume_unique=True))
            similarity = shared / (len(mine) + len(grams) - shared)
            if similarity >= self._threshold:
                yield self.first + at, similarity
