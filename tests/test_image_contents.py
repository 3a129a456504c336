"""The control plane's image holds what the control plane imports, and nothing that trains."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: Parts of the demonstration that run where models are made, not where they are told about.
_MAKES_MODELS = {"make_base.py", "judge_base.py"}


def locked(name: str) -> dict[str, str]:
    """Distribution to version."""
    lines = re.findall(
        r"^([a-z0-9-]+)(?:\[[^]]+])?==(\S+)", (ROOT / name).read_text(), re.MULTILINE
    )
    return dict(lines)


def imported(package: str) -> dict[str, set[str]]:
    """Top-level module from elsewhere to the files that import it, anywhere in them."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (ROOT / "platform" / package).rglob("*.py"):
        if package == "slipway_demo" and path.name in _MAKES_MODELS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            for name in names:
                found[name.partition(".")[0]].add(str(path.relative_to(ROOT)))
    ours = {"slipway", "slipway_contracts", "slipway_sandbox", "slipway_demo"}
    return {k: v for k, v in found.items() if k not in sys.stdlib_module_names | ours}


@pytest.mark.parametrize(
    "package", ["slipway", "slipway_contracts", "slipway_sandbox", "slipway_demo"]
)
def test_what_the_control_plane_imports_is_in_its_image(package: str) -> None:
    held, known = locked("requirements-control-plane.lock"), packages_distributions()
    for module, files in imported(package).items():
        makers = {maker.lower().replace("_", "-") for maker in known[module]}
        assert makers & held.keys(), f"{module} ({makers}) is imported by {sorted(files)}"


def test_its_versions_are_those_of_everything_else() -> None:
    held, everything = locked("requirements-control-plane.lock"), locked("requirements.lock")
    assert len(held) > 100
    assert held.items() <= everything.items()


def test_it_holds_nothing_that_trains_or_serves() -> None:
    held = locked("requirements-control-plane.lock")
    everything = locked("requirements.lock")
    for name in ("torch", "ray", "transformers", "trl", "peft"):
        assert name in everything
        assert name not in held
    assert not [name for name in held if "cuda" in name or "nvidia" in name]
