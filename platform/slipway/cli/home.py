"""Where this installation lives on disk, and who runs it now."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO


def home() -> Path:
    """SLIPWAY_HOME, or `.slipway` in the working directory."""
    return Path(os.environ.get("SLIPWAY_HOME", ".slipway")).resolve()


def run_dir() -> Path:
    path = home() / "run"
    path.mkdir(parents=True, exist_ok=True)
    return path


def log_path(child: str) -> Path:
    path = home() / "logs" / f"{child}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@dataclass(frozen=True, kw_only=True)
class Running:
    """What a supervisor says of itself while it lives."""

    pid: int
    port: int
    url: str
    started_at: float


def claim() -> IO[str] | None:
    """Hold the one supervisor's lock of this home; None if another holds it.

    The kernel drops the lock with the process, so a killed supervisor leaves none behind.
    """
    file = (run_dir() / "supervisor.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def write_running(state: Running) -> None:
    path = run_dir() / "platform.json"
    path.with_suffix(".new").write_text(json.dumps(asdict(state)))
    path.with_suffix(".new").rename(path)


def running() -> Running | None:
    """The supervisor that runs this home now, if one does."""
    held = claim()
    if held is not None:
        held.close()
        return None
    try:
        return Running(**json.loads((run_dir() / "platform.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
