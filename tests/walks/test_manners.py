"""Starting where something is in the way: a taken port, a second start, a Ctrl-C, a full disk."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import live
import pytest


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = live.environment_of(tmp_path / "home", port)
        done = subprocess.run(
            [sys.executable, "-m", "slipway.cli", "demo"],
            env=environment, cwd=live.ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert f"PORT={port + 1}" in done.stderr


def test_without_a_platform_every_command_says_how_to_get_one(tmp_path: Path) -> None:
    environment = live.environment_of(tmp_path / "home", live.free_port())
    for words in (["jobs", "list"], ["chat", "chart-base", "?"]):
        done = subprocess.run(
            [sys.executable, "-m", "slipway.cli", *words],
            env=environment, cwd=live.ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1
        assert "slipway up" in done.stderr


def test_an_interrupted_demo_is_picked_up_by_two_at_once(platform: live.Live) -> None:
    command = [sys.executable, "-m", "slipway.cli", "demo", "--seed", "11"]

    def begin() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, env=platform.environment, cwd=live.ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    interrupted = begin()
    time.sleep(random.Random(11).uniform(1, 8))
    # What a terminal does on Ctrl-C: the signal goes to the whole foreground group.
    os.killpg(interrupted.pid, signal.SIGINT)
    said, _ = interrupted.communicate(timeout=60)
    assert interrupted.returncode in (130, 0, 3), said
    assert "Traceback" not in said
    for telling in (begin(), begin()):
        said, _ = telling.communicate(timeout=600)
        assert telling.returncode in (0, 3), said
    jobs = platform.call("GET", "jobs?limit=500").json()["data"]
    assert [job["phase"] for job in jobs if "-11-" in job["name"]] == ["succeeded"]


def test_a_full_disk_is_said_and_harms_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.fail("mounting a small tmpfs needs root: run the tests as root, e.g. with sudo")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        rows = tmp_path / "rows.jsonl"
        line = '{"messages":[{"role":"user","content":"%d"},{"role":"assistant","content":"%s"}]}\n'
        rows.write_text("".join(line % (n, "x" * 1000) for n in range(20_000)))
        home = small / "home"
        environment = live.environment_of(
            tmp_path / "home", live.free_port(), SLIPWAY_OBJECTS_URL=f"file://{home}"
        )
        command = [sys.executable, "-m", "slipway.cli"]
        up = subprocess.run([*command, "up", "--detach"], env=environment, cwd=live.ROOT,
                            capture_output=True, text=True, timeout=120)  # fmt: skip
        assert up.returncode == 0, up.stderr
        full = subprocess.run([*command, "datasets", "upload", "big", str(rows)],
                              env=environment, cwd=live.ROOT, capture_output=True, text=True,
                              timeout=120)  # fmt: skip
        assert full.returncode == 1
        assert "room" in full.stderr
        assert "Traceback" not in full.stderr
        rows.write_text(line % (1, "small"))
        fits = subprocess.run([*command, "datasets", "upload", "small", str(rows), "--publish"],
                              env=environment, cwd=live.ROOT, capture_output=True, text=True,
                              timeout=120)  # fmt: skip
        assert fits.returncode == 0, fits.stderr
    finally:
        subprocess.run([*command, "down"], env=environment, cwd=live.ROOT, timeout=120)
        subprocess.run(["umount", "-l", str(small)], check=True)
