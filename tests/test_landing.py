"""What lands: failures stop it, and what a machine cannot run is said and not counted."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import landing
import pytest


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was run, all of it well, on a machine that can."""
    done: list[list[str]] = []
    monkeypatch.setattr(landing.subprocess, "call", lambda command, **_: done.append(command) or 0)
    monkeypatch.setattr(landing, "_within", lambda command, _end: done.append(command) or 0)
    monkeypatch.setattr(landing, "cannot", lambda: "")
    return done


def on_node(statuses: list[int | None], ran: list[list[str]]) -> Callable[..., int | None]:
    """Tests on the node end so, one after another; what is before them goes well."""

    def within(command: list[str], _end: float) -> int | None:
        ran.append(command)
        return statuses.pop(0) if command[-1] == "tests/node" else 0

    return within


def test_the_node_comes_after_all_else(ran: list[list[str]]) -> None:
    assert landing.main([]) == 0
    assert ran[0] == ["make", "test"]
    assert ran[-1][-3:] == ["-m", "pytest", "tests/node"]


def test_a_failure_before_is_the_end(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing.subprocess, "call", lambda *_, **__: 2)
    assert landing.main([]) == 2
    assert ran == []


@pytest.mark.parametrize(
    ("statuses", "ends"),
    [([0], 0), ([1, 0], 0), ([1, 1], 1), ([2], 2), ([None], 0), ([1, None], 0)],
    ids=str,
)
def test_a_node_whose_tests_fail_twice_fails_the_landing(
    ran: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    statuses: list[int | None],
    ends: int,
) -> None:
    late = None in statuses
    monkeypatch.setattr(landing, "_within", on_node(statuses, ran))
    assert landing.main([]) == ends
    assert statuses == []
    assert ("NOT RUN" in capsys.readouterr().out) == late


def test_without_the_time_or_the_machine_it_says_so_last(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert landing.main(["--minutes", "29"]) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("NOT RUN: tests/node")
    assert "make test-cluster" in last
    monkeypatch.setattr(landing, "cannot", lambda: "no root")
    assert landing.main([]) == 0
    assert "no root" in capsys.readouterr().out
    assert ran == [["make", "test"]] * 2


def test_a_node_that_does_not_boot_is_not_counted(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    boots = landing.BOOT
    monkeypatch.setattr(landing, "_within", lambda command, _: int(command[-1] == boots))
    assert landing.main([]) == 0
    assert "NOT RUN" in capsys.readouterr().out


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing.os, "geteuid", lambda: 1000)
    assert "sudo make test-cluster" in landing.cannot()
    monkeypatch.setattr(landing.os, "geteuid", lambda: 0)

    def refused(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, "unshare")

    monkeypatch.setattr(landing.subprocess, "run", refused)
    assert "namespaces" in landing.cannot()


def test_what_takes_too_long_takes_away_what_it_made(tmp_path: Path) -> None:
    mark = tmp_path / "made"
    work = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
        "mark = pathlib.Path(sys.argv[1])\n"
        "mark.touch()\n"
        "try:\n    time.sleep(600)\nfinally:\n    mark.unlink()\n"
    )
    began = time.monotonic()
    command = [sys.executable, "-c", work, str(mark)]
    assert landing._within(command, began + 3) is None
    assert not mark.exists()
    assert landing._within([sys.executable, "-c", "raise SystemExit(3)"], began + 99) == 3
    gone = tmp_path / "pid"
    child = f"import os, pathlib, time; pathlib.Path({str(gone)!r}).write_text(str(os.getpid()))"
    family = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r} + "
    family += "'; time.sleep(600)'])"
    assert landing._within([sys.executable, "-c", family], time.monotonic() + 5) is None
    state = Path(f"/proc/{gone.read_text()}/stat")

    def ended() -> bool:
        """Nobody may have asked how yet."""
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX"

    until = time.monotonic() + 30
    while not ended() and time.monotonic() < until:
        time.sleep(0.1)
    assert ended()
