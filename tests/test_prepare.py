"""What pods of a cluster do before and beside their work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import servers

PLATFORM = Path(__file__).parent.parent / "platform"


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLIPWAY_")}
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    return kept | {"PYTHONPATH": str(PLATFORM), "SLIPWAY_HOME": str(home)} | more


def test_a_pod_waits_until_the_job_has_prepared_the_database(tmp_path: Path) -> None:
    waits = subprocess.Popen(
        [sys.executable, "-u", "-m", "slipway.cli.prepare", "--wait"],
        env=environment(tmp_path), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert waits.stdout is not None
        assert "waiting for the migrate job" in waits.stdout.readline()
        command = [sys.executable, "-m", "slipway.cli.prepare"]
        refused = subprocess.run(
            command, env=environment(tmp_path), capture_output=True, text=True, timeout=120
        )
        assert refused.returncode == 2
        assert "SLIPWAY_ADMIN_PASSWORD" in refused.stdout
        done = subprocess.run(
            command, env=environment(tmp_path, SLIPWAY_ADMIN_PASSWORD="correct-horse-9"),
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert waits.wait(60) == 0
    finally:
        waits.kill()
        waits.wait()
        assert waits.stdout is not None
        waits.stdout.close()


def test_a_database_that_cannot_keep_all_texts_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    url = servers.postgres().fresh()
    admin, _, name = url.rpartition("/")
    with psycopg.connect(f"{admin}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}"')
        ascii_only = (
            f"CREATE DATABASE \"{name}\" ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
        )
        connection.execute(ascii_only)
    more = {"SLIPWAY_DATABASE_URL": url, "SLIPWAY_ADMIN_PASSWORD": "correct-horse-9"}
    refused = subprocess.run(
        [sys.executable, "-m", "slipway.cli.prepare"],
        env=environment(tmp_path, **more), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert refused.returncode == 2
    assert f"the database {name} keeps texts as SQL_ASCII" in refused.stdout
    with psycopg.connect(url) as connection:
        made = connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert made == []


def test_no_usage_record_stays_behind_when_a_gateway_goes(
    tmp_path: Path, settings, monkeypatch
) -> None:
    from slipway.worker import settle

    settings.USAGE_SPOOL = tmp_path
    monkeypatch.setattr(settle, "PAUSE_SECONDS", 0.01)
    seen: list[int] = []

    def stop_then_take_in() -> bool:
        seen.append(len(list(tmp_path.glob("*.jsonl"))))
        if len(seen) == 1:
            (tmp_path / "usage-1-1.jsonl").write_bytes(b"")
            os.kill(os.getpid(), signal.SIGTERM)
        if len(seen) == 4:
            (tmp_path / "usage-1-1.jsonl").unlink()
        return len(seen) > 2

    monkeypatch.setattr(settle, "take_in", stop_then_take_in)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert settle.main() == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(seen) == 4
