"""Where the runtime keeps things on this machine: everything below SLIPWAY_HOME."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """SLIPWAY_HOME, or `.slipway` in the working directory; absolute."""
    return Path(os.environ.get("SLIPWAY_HOME", ".slipway")).resolve()


def run_dir() -> Path:
    """Sockets and process ids of this life; nothing here survives a restart.

    SLIPWAY_RUN_DIR names a shorter way to it where the home's own path is too long for sockets.
    """
    return Path(os.environ.get("SLIPWAY_RUN_DIR", home() / "run"))


def node_socket() -> Path:
    return run_dir() / "node.sock"


def scratch_dir(workload: str) -> Path:
    """Room for one run's temporary files; removed when the run ends."""
    return run_dir() / "scratch" / workload


def log_file(workload: str) -> Path:
    """What the workload printed."""
    return home() / "logs" / "workloads" / f"{workload}.log"


def cache_dir() -> Path:
    """Copies of remote objects, named by their content; may be emptied at any time."""
    return home() / "cache" / "objects"


def step_file(workload: str) -> Path:
    """`<step> <total>` of a run, renewed about once a second; for those who wait behind it."""
    return run_dir() / "scratch" / f"{workload}.step"
