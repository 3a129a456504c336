"""A short campaign of kills; `tests/faults.py` runs a long one."""

from __future__ import annotations

import random

import faults
import live
import pytest


@pytest.mark.parametrize(
    "parts", [("worker", "training worker", "web"), ("serve replica", "ray head")]
)
def test_the_story_survives_the_deaths_of(parts: tuple[str, ...], platform: live.Live) -> None:
    dice = random.Random(len(parts))
    # Early enough that the parts are at work: jobs train in the first half of a story.
    delays = sorted(dice.uniform(2, 20) for _ in parts)
    kills = list(zip(parts, delays, strict=True))
    print(faults.one_run(platform, kills=kills, seed=20 + len(parts)))
