"""What the documentation points at is there, and the project speaks of itself alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^)#\s]+)")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / line for line in listed.stdout.splitlines()]


def test_every_relative_link_leads_to_a_file() -> None:
    pages = tracked("*.md")
    assert pages
    for page in pages:
        for target in LINK.findall(page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target} is not there"


def test_readme_shows_both_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme


def test_locks_carry_hashes_and_no_registry() -> None:
    locks = tracked("*.lock")
    assert locks
    for lock in locks:
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://", text), f"{lock} names a registry"


def test_every_variable_of_the_settings_is_documented() -> None:
    settings = (ROOT / "platform/slipway/settings.py").read_text()
    documented = (ROOT / "docs/configuration.md").read_text()
    internal = {"SLIPWAY_RUN_DIR"}
    for name in set(re.findall(r"SLIPWAY_[A-Z_]+", settings)) - internal:
        assert name in documented, f"{name} is read but not documented"
