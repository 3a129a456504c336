"""A short campaign of kills; `tests/faults.py` runs a long one."""

from __future__ import annotations

import random

import faults
import live
import pytest


@pytest.mark.parametrize("part", list(faults.PARTS))
def test_the_story_survives_the_death_of(part: str, platform: live.Live) -> None:
    number = list(faults.PARTS).index(part)
    # Early enough that the part is at work: jobs train in the first half of a story.
    delay = random.Random(number).uniform(2, 20)
    print(faults.one_run(platform, part=part, seed=20 + number, delay=delay))
