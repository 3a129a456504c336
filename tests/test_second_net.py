"""PostgreSQL keeps tenants apart by itself, and all goes on working where it does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import servers

HERE = Path(__file__).parent


def _plain_owner() -> str:
    """URL of an empty database of a user who is no superuser: nothing else is held by policies."""
    url = servers.postgres().fresh()
    name = urlsplit(url).path.lstrip("/")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{name}" LOGIN CREATEDB')
        connection.execute(f'ALTER DATABASE "{name}" OWNER TO "{name}"')
    return url.replace("postgres@", f"{name}@")


@pytest.mark.parametrize(
    ("file", "word"),
    [
        ("rows_of_tenants.py", ""),
        ("test_tenancy_access.py", "role or group or key"),
        ("test_audit.py", ""),
        ("test_departure.py", ""),
        ("test_plans.py", "at_once"),
        ("test_compiled.py", ""),
    ],
)
def test_tenants_are_kept_apart_and_all_works(file: str, word: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", HERE / file]
        + (["-k", word] if word else []),
        env=os.environ
        | {"SLIPWAY_DATABASE_URL": _plain_owner(), "SLIPWAY_TEST_HOME": str(tmp_path)},
        cwd=HERE.parent,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-6000:]
    assert not list(tmp_path.rglob("*.sqlite3")), "it was SQLite after all"
