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


#: What a line of code says where an algorithm is used, to what the inventory calls it.
ALGORITHMS = {
    r"hashlib\.(sha256|file_digest)": "SHA-256",
    r"hashlib\.md5": "MD5",
    r"\bhmac\.(new|digest)\(": "HMAC-SHA-256",
    r"\bAESGCM\b": "AES-256-GCM",
    r"\bEd25519P": "Ed25519",
    r"PBKDF2": "PBKDF2-SHA-256",
    r"\b(rsa|ec)\.\w+PublicKey": "RSA",
}
#: Without a key there is nothing to be kept, exchanged or lost.
KEYLESS = {"SHA-256", "MD5"}


def test_every_algorithm_in_use_is_in_the_inventory() -> None:
    handbook = (ROOT / "docs/security/handbook.md").read_text()
    listed = re.findall(r"^\| ([\w-]+)[^|]*\|[^|]*\|[^|]*\| (.+) \|$", handbook, re.MULTILINE)
    used = set()
    for package in ("platform", "operators"):
        for file in (ROOT / package).rglob("*.py"):
            text, where = file.read_text(), str(file)
            known = [name for word, name in ALGORITHMS.items() if re.search(word, text)]
            others = set(re.findall(r"hashlib\.(?!sha256|md5|file_digest)\w+", text))
            assert not others, f"{where} uses {others}, which the handbook does not know"
            used |= set(known)
            for name in set(known) - KEYLESS:
                places = " ".join(by for each, by in listed if each == name)
                named = re.findall(r"`([\w/.]+)`", places)
                assert any(each.removesuffix(".py") in where for each in named), (
                    f"{where} uses {name}; say in docs/security/handbook.md what for"
                )
    assert used == set(ALGORITHMS.values())
