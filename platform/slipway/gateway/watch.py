"""Counts what the gateway does; `metrics` shows it to Prometheus. Pure.

Ended requests are laid aside and counted by the hundred, which takes a fifth of the time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from operator import attrgetter

from slipway_contracts.usage import UsageLine

#: Upper bounds of the histograms, in milliseconds; one more place stands for all above.
LATENCY_MS = (
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000,
)  # fmt: skip
FIRST_BYTE_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
#: Projects and models are without number, labels must not be: all beyond these are one.
MOST_SERIES = 500
OTHERS = ("other", "other")
_TOGETHER = 200
_name = attrgetter("project_id", "model")
_status = attrgetter("endpoint", "status")
_prompt, _completion = attrgetter("prompt_tokens"), attrgetter("completion_tokens")
_estimated, _latency = attrgetter("estimated"), attrgetter("latency_ms")


class Histogram:
    """How many values fell below each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, values: Iterable[float]) -> None:
        values = list(values)
        for place, count in Counter(map(partial(bisect_left, self.bounds), values)).items():
            self.counts[place] += count
        self.sum += sum(values)


class Series:
    """What requests of one project to one model came to."""

    __slots__ = ("completion_tokens", "estimated", "first_byte", "latency", "prompt_tokens",
                 "statuses")  # fmt: skip

    def __init__(self) -> None:
        #: By (endpoint, status).
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.prompt_tokens = self.completion_tokens = self.estimated = 0
        self.latency = Histogram(LATENCY_MS)
        self.first_byte = Histogram(FIRST_BYTE_MS)


class Watch:
    """The counts of one gateway process since it began."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Series] = {}
        self._ended: list[UsageLine] = []
        #: Requests that were not let in, by the code of the refusal.
        self.refused: Counter[str] = Counter()
        #: Second replicas asked, and how often they were the first to answer.
        self.hedged = self.hedges_won = 0
        #: Requests answered by a fallback.
        self.fell_back = 0

    def settled(self, line: UsageLine) -> None:
        """A request that was let in has ended."""
        self._ended.append(line)
        if len(self._ended) >= _TOGETHER:
            self._count()

    @property
    def series(self) -> dict[tuple[str, str], Series]:
        """By (project id, model that answered)."""
        self._count()
        return self._series

    def _count(self) -> None:
        ended, self._ended = self._ended, []
        for name, group in groupby(sorted(ended, key=_name), key=_name):
            lines = list(group)
            key = name if name in self._series or len(self._series) < MOST_SERIES else OTHERS
            series = self._series.setdefault(key, Series())
            series.statuses.update(map(_status, lines))
            series.prompt_tokens += sum(map(_prompt, lines))
            series.completion_tokens += sum(map(_completion, lines))
            series.estimated += sum(map(_estimated, lines))
            series.latency.add(map(_latency, lines))
            series.first_byte.add(
                line.first_byte_ms for line in lines if line.first_byte_ms is not None
            )

    def refuse(self, code: str | None) -> None:
        """A request was not let in. Codes are our own, so they are few."""
        self.refused[code or "other"] += 1
