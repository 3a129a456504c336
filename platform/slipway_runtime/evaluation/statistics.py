"""Intervals and paired tests, all at 95 %: how much of a difference may be luck."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

#: The normal distribution's 97.5 % point.
Z = 1.959963984540054
LEVEL = 0.95
RESAMPLES = 1000

Sums = npt.NDArray[np.float64]


def wilson(hits: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion; (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    centre = share + Z * Z / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def mcnemar(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Exact two-sided p-value that two 0/1 judgements of the same rows are right equally often."""
    only_a, only_b = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_b, only_a + only_b, 0.5).pvalue)


def newcombe(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Difference a - b of two proportions over the same rows, with its interval.

    Newcombe's hybrid score interval for paired data (1998, method 10 without continuity
    correction): unlike a bootstrap it does not shrink to nothing when all rows agree.
    """
    n = len(a)
    share_a, share_b = float(a.mean()), float(b.mean())
    low_a, high_a = wilson(float(a.sum()), n)
    low_b, high_b = wilson(float(b.sum()), n)
    spread = share_a * (1 - share_a) * share_b * (1 - share_b)
    phi = float((a * b).mean() - share_a * share_b) / math.sqrt(spread) if spread > 0 else 0.0

    def width(of_a: float, of_b: float) -> float:
        return math.sqrt(max(0.0, of_a**2 - 2 * phi * of_a * of_b + of_b**2))

    difference = share_a - share_b
    low = difference - width(share_a - low_a, high_b - share_b)
    high = difference + width(high_a - share_a, share_b - low_b)
    return difference, max(-1.0, low), min(1.0, high)


class Bootstrap:
    """The same seeded resamples of `n` rows for every metric and candidate, so pairs stay pairs."""

    def __init__(self, n: int, *, seed: int) -> None:
        draws = np.random.default_rng(seed)
        self._times = [
            draws.multinomial(n, np.full(n, 1 / n)).astype(np.float64) for _ in range(RESAMPLES)
        ]

    def values(self, rows: Sums, finish: Callable[[Sums], float]) -> npt.NDArray[np.float64]:
        """`finish` of the summed row statistics (n, k), for each resample."""
        return np.array([finish(times @ rows) for times in self._times])

    @staticmethod
    def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
        """The percentile interval."""
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    @staticmethod
    def p_value(differences: npt.NDArray[np.float64]) -> float:
        """Two-sided p-value that the true difference is 0."""
        n = len(differences)
        below, above = (differences <= 0).sum() + 1, (differences >= 0).sum() + 1
        return float(min(1.0, 2 * min(below, above) / (n + 1)))
