"""A run in a cluster of its own, and a copy of a model that answers on its pod's port."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slipway_contracts.workload import (
    Kind,
    Workload,
    failure_from_json,
    report_from_json,
    report_name,
    to_json,
)
from slipway_runtime import files
from slipway_runtime.serving import cluster

TESTS = Path(__file__).parent


def carried_out(folder: Path, **settings: Any) -> tuple[Workload, subprocess.CompletedProcess[str]]:
    workload = Workload(
        name="train-a-1",
        kind=Kind.TRAIN,
        settings=settings,
        output_uri=f"file://{folder}/out",
    )
    done = subprocess.run(
        [sys.executable, "-m", "slipway_runtime", "run"],
        env=os.environ
        | {
            "PYTHONPATH": f"{TESTS.parent / 'platform'}:{TESTS}",
            "SLIPWAY_HOME": str(folder / "home"),
            "SLIPWAY_RECIPES": json.dumps({"train": "recipe_for_tests:run"}),
            "SLIPWAY_WORKLOAD": to_json(workload),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    return workload, done


def test_a_run_ends_with_its_report_and_status_0(tmp_path: Path) -> None:
    workload, done = carried_out(tmp_path, steps=2)
    assert done.returncode == 0, done.stderr
    report = report_from_json(
        files.read(files.join(workload.output_uri, report_name(workload.attempt)))
    )
    assert report.attempt == 1
    assert done.stdout.strip()


def test_a_run_that_fails_says_why_and_ends_with_status_1(tmp_path: Path) -> None:
    workload, done = carried_out(tmp_path, end="bad input")
    assert done.returncode == 1
    assert "the run failed: row 7 has no answer; add one" in done.stderr
    failure = failure_from_json(files.read(files.join(workload.output_uri, "failure-1.json")))
    assert not failure.retryable


def test_without_an_order_there_is_nothing_to_run() -> None:
    command = [sys.executable, "-m", "slipway_runtime", "run"]
    environment = {"PYTHONPATH": str(TESTS.parent / "platform"), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "SLIPWAY_WORKLOAD" in done.stderr


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_the_port_passes_on_whatever_is_said_and_hangs_up_with_the_caller(
    tmp_path: Path, size: int
) -> None:
    async def story() -> None:
        gone = asyncio.Event()

        async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readexactly(5)
            writer.write(request * (size // 5))
            await writer.drain()
            assert await reader.read() == b""
            gone.set()
            writer.close()

        inside = await asyncio.start_unix_server(engine, tmp_path / "engine.sock")
        callers = functools.partial(cluster.pass_on, tmp_path / "engine.sock")
        door = await asyncio.start_server(callers, "127.0.0.1", 0)
        port = door.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.readexactly(size // 5 * 5) == b"hello" * (size // 5)
        writer.close()
        await asyncio.wait_for(gone.wait(), 5)
        inside.close()
        (tmp_path / "engine.sock").unlink(missing_ok=True)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        door.close()
        await asyncio.sleep(0)

    asyncio.run(story())
