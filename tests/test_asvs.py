"""The page on OWASP ASVS: whole, and every test it leans on is there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/security/asvs.md").read_text()
ROWS = re.findall(r"^\| ([\d.]+) \| (L\d) \| ([\w/]+) \| (.+) \|$", PAGE, re.MULTILINE)


def test_every_requirement_of_both_levels_has_one_line() -> None:
    assert Counter(level for _, level, _, _ in ROWS) == {"L1": 70, "L2": 183}
    assert len({number for number, *_ in ROWS}) == 253
    assert {standing for _, _, standing, _ in ROWS} <= {"test", "reason", "n/a", "open"}


def test_every_test_it_names_is_there() -> None:
    named = 0
    for number, _, standing, by in ROWS:
        found = re.findall(r"`(tests/test_\w+\.py)::(test_\w+)`", by)
        assert bool(found) == (standing == "test"), number
        for file, name in found:
            assert f"def {name}(" in (ROOT / file).read_text(), f"{number}: {file} has no {name}"
            named += 1
    assert named > 40


def test_the_counts_at_the_top_are_those_of_the_lines() -> None:
    counted = Counter(standing for _, _, standing, _ in ROWS)
    words = {"test": "by test", "reason": "by reason", "n/a": "not applicable", "open": "open"}
    for standing, word in words.items():
        assert f"{counted[standing]} {word}" in PAGE
