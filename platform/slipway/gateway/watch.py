"""Counts what the gateway does, a microsecond a request; `metrics` shows it to Prometheus. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from slipway_contracts.usage import UsageLine

#: Upper bounds of the histograms, in milliseconds; one more place stands for all above.
LATENCY_MS = (
    5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000,
)  # fmt: skip
FIRST_BYTE_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
#: Projects and models are without number, labels must not be: all beyond these are one.
MOST_SERIES = 500
OTHERS = ("other", "other")


class Histogram:
    """How many values fell below each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


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
        #: By (project id, model that answered).
        self.series: dict[tuple[str, str], Series] = {}
        #: Requests that were not let in, by the code of the refusal.
        self.refused: Counter[str] = Counter()
        #: Second replicas asked, and how often they were the first to answer.
        self.hedged = self.hedges_won = 0
        #: Requests answered by a fallback.
        self.fell_back = 0

    def settled(self, line: UsageLine) -> None:
        """A request that was let in has ended."""
        key = (line.project_id, line.model)
        series = self.series.get(key)
        if series is None:
            if len(self.series) >= MOST_SERIES:
                key = OTHERS
            series = self.series.setdefault(key, Series())
        series.statuses[line.endpoint, line.status] += 1
        series.prompt_tokens += line.prompt_tokens
        series.completion_tokens += line.completion_tokens
        series.estimated += line.estimated
        series.latency.add(line.latency_ms)
        if line.first_byte_ms is not None:
            series.first_byte.add(line.first_byte_ms)

    def refuse(self, code: str | None) -> None:
        """A request was not let in. Codes are our own, so they are few."""
        self.refused[code or "other"] += 1
