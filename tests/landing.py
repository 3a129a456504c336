"""What must pass before anything lands: `make test`, and then the charts on a real node.

    tests/landing.py [--minutes 75] [--needs 30]

The node (tests/node: install, the main job, upgrade, uninstall) needs root, namespaces, a control
group, disk and time. Where the machine or the clock cannot, the last lines say so, and what would
make it run; nothing is counted as passed that was not. A node that boots and a test that then
fails twice fail the landing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Landings are ended after 90 minutes, whatever they were at; a quarter of an hour is left over.
MINUTES = 75
#: What the node takes where nothing is built yet, on two cores.
NEEDS = 30
DISK_GB, MEMORY_GB = 30, 12
PYTHON = ROOT / ".venv/bin/python"
#: Boots the node and ends; what cannot do that is no machine for it.
BOOT = "from cluster import node; node.node()"


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 where all that could be run has passed."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--minutes", type=float, default=MINUTES)
    asked.add_argument("--needs", type=float, default=NEEDS)
    given = asked.parse_args(arguments)
    end = time.monotonic() + given.minutes * 60
    if status := subprocess.call(["make", "test"], cwd=ROOT):
        return status
    if why := cannot():
        return _not_run(why)
    left = (end - time.monotonic()) / 60
    if left < given.needs:
        return _not_run(
            f"it may need {given.needs:.0f} minutes and {left:.0f} are left; run it: "
            "make test-cluster"
        )
    print("\nThe charts on a real node:", flush=True)
    for step in (["make", ".venv/cluster/.ready"], _on_node("-c", BOOT)):
        if status := _within(step, end):
            return _not_run(f"{step[0]} … {step[-1]} ended with {_said(status)}, see above")
    tests = _on_node("-m", "pytest", "tests/node")
    status = _within(tests, end)
    if status == 1 and end - time.monotonic() > given.needs * 30:
        print("\nOnce more:", flush=True)
        status = _within(tests, end)
    if status is None:
        return _not_run("the time was over before its end; run it: make test-cluster")
    return status


def cannot() -> str:
    """Why this machine can have no node, and what would change that; empty if it may."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a node needs root on Linux; run it: sudo make test-cluster"
    try:
        subprocess.run(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "true"],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return f"namespaces cannot be made here ({error}); run it where `unshare` may"
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "slipway"
    place = next(each for each in (cache, *cache.parents) if each.exists())
    free = shutil.disk_usage(place).free / 1e9
    if free < DISK_GB and not (cache / "containerd/images.json").exists():
        return f"{free:.0f} GB are free below {place}, the images need {DISK_GB}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    if memory < MEMORY_GB:
        return f"there are {memory:.0f} GB of memory, a node with its pods needs {MEMORY_GB}"
    return ""


def _on_node(*words: str) -> list[str]:
    return [str(PYTHON), "-m", "cluster", str(PYTHON), *words]


def _within(command: list[str], end: float) -> int | None:
    """Its exit status, or None if it was ended because the time was over.

    It is told to end, so that it takes away what it made, and killed only if it does not heed that.
    """
    inside = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    work = subprocess.Popen(command, cwd=ROOT, env=inside, start_new_session=True)
    try:
        return work.wait(timeout=max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        for sent, patience in ((signal.SIGTERM, 60), (signal.SIGKILL, 20)):
            os.killpg(work.pid, sent)
            try:
                work.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                continue
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(work.pid, signal.SIGKILL)
        return None


def _said(status: int | None) -> str:
    return "no time left" if status is None else f"status {status}"


def _not_run(why: str) -> int:
    print(f"\nNOT RUN: tests/node, the charts on a real node: {why}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
