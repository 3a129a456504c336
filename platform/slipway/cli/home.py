"""Where this installation lives on disk, and who runs it now."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

LONGEST_RUN_DIR = 60


def home() -> Path:
    """SLIPWAY_HOME, or `.slipway` in the working directory."""
    return Path(os.environ.get("SLIPWAY_HOME", ".slipway")).resolve()


def run_dir() -> Path:
    """Sockets, locks and process ids; by a short way where the path is too long for sockets.

    A Unix socket's path holds 107 bytes, and the longest name below this directory 45.
    """
    path = home() / "run"
    path.mkdir(parents=True, exist_ok=True)
    if len(os.fsencode(path)) <= LONGEST_RUN_DIR:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    private = Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}-{digest}"
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_uid != os.getuid() or private.is_symlink():
        raise RuntimeError(f"{private} is somebody else's; set SLIPWAY_HOME to a shorter path")
    link = private / "run"
    if not link.is_symlink():
        link.symlink_to(path)
    return link


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


def remembered_port() -> int | None:
    """The port this home was last served on; None if it never was."""
    try:
        return int((home() / "port").read_text())
    except (FileNotFoundError, ValueError):
        return None


def setup_code() -> str:
    """What the wizard of the first boot asks for; empty where nothing waits to be set up."""
    try:
        return (home() / "setup-code").read_text().strip()
    except FileNotFoundError:
        return ""


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
    (home() / "port").write_text(f"{state.port}\n")


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
