"""The house keeps its shape: layers, doors, and names that shadow nobody."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
OURS = {"slipway", "slipway_contracts", "slipway_demo", "slipway_runtime", "slipway_sandbox"}
ROOTS = (ROOT / "platform", ROOT / "operators")


def test_imports_go_down() -> None:
    """The layers and doors drawn in pyproject.toml, by import-linter."""
    lint = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(
        [*lint, "--no-cache"], cwd=ROOT, env={"PYTHONPATH": f"{ROOT}/platform:{ROOT}/operators"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*sorted(OURS), cache_dir=None)


def test_a_domains_tables_are_its_own(graph: grimp.ImportGraph) -> None:
    for module in graph.modules:
        if not re.fullmatch(r"slipway\.(?!core\.)\w+\.models(\.\w+)?", module):
            continue
        home = module.partition(".models")[0]
        readers = graph.find_modules_that_directly_import(module)
        strangers = {reader for reader in readers if not reader.startswith(f"{home}.")}
        assert not strangers, f"{strangers} should ask {home}.services instead of reading {module}"


def test_domains_have_the_same_shelves_and_no_others() -> None:
    shelves = {"models", "services", "api", "reconcile", "permissions", "authentication"}
    shelves |= {"middleware", "rules"}
    domains = [path.parent for path in (ROOT / "platform" / "slipway").glob("*/models*")]
    assert len(domains) >= 8
    for domain in domains:
        if domain.name == "core":
            continue
        found = {path.stem for path in domain.iterdir() if path.suffix == ".py" or path.is_dir()}
        strange = found - shelves - {"__init__", "migrations", "__pycache__"}
        assert not strange, f"{domain.name} has {strange}; put it on one of its shelves"


def test_platform_is_a_source_root_and_not_a_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    code = "import platform, sys; sys.exit('platform/' in platform.__file__)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_our_packages_are_these_five_and_shadow_nobody() -> None:
    found = {
        path.name
        for path in (ROOT / "platform").iterdir()
        if path.is_dir() and path.name.isidentifier() and path.name != "__pycache__"
    }
    assert found == OURS
    theirs = set(importlib.metadata.packages_distributions()) | set(sys.stdlib_module_names)
    assert not found & (theirs - OURS)


def test_every_file_opens_with_its_sentence() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for root in ROOTS
        for path in root.rglob("*.py")
        if "migrations" not in path.parts and not path.read_text().lstrip().startswith('"""')
    ]
    assert not silent


def test_nobody_has_a_drawer_for_everything() -> None:
    names = {path.name for root in ROOTS for path in root.rglob("*.py")}
    assert not names & {"utils.py", "helpers.py", "misc.py", "common.py"}
