"""What is told in other words to PostgreSQL: the picture, triggers, leases, the ledger's intake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import servers

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("file", "word"),
    [
        ("test_gateway_loader.py", ""),
        ("test_gateway_leases.py", "one_is_killed"),
        ("test_gateway_leases.py", "200_calls"),
        ("test_metering.py", "worker or pieces or lines or totals"),
    ],
)
def test_on_postgresql_it_is_the_same(file: str, word: str, tmp_path: Path) -> None:
    pytest_here = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]
    database = {"SLIPWAY_DATABASE_URL": servers.postgres().fresh()}
    run = subprocess.run(
        [*pytest_here, HERE / file, "-k", word],
        env=os.environ | database | {"SLIPWAY_TEST_HOME": str(tmp_path)},
        cwd=HERE.parent,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-6000:]
    assert not list(tmp_path.rglob("*.sqlite3")), "it was SQLite after all"
