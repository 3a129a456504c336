"""Finds and ends the processes of this SLIPWAY_HOME's node, and no others.

Every process that the agent starts inherits SLIPWAY_NODE=<home>. Some of Ray's rewrite the
memory where that can be read; those are in the agent's session.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

MARK = "SLIPWAY_NODE"


def mark(home: Path) -> None:
    """Make this process and all it starts recognisable; lead a session of our own if we can."""
    os.environ[MARK] = str(home)
    with suppress(PermissionError):
        os.setsid()


def find(home: Path, *, session: int = 0) -> list[int]:
    """Process ids that belong to the node of `home`, without our own.

    `session` is that of the agent they belong to: pass it only while no stranger can have it.
    """
    wanted = f"{MARK}={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            pid = int(entry.name)
            marked = wanted in (entry / "environ").read_bytes().split(b"\0")
            if (marked or (session and os.getsid(pid) == session)) and _alive(entry):
                found.append(pid)
    return found


def end(home: Path, *, session: int = 0, grace_seconds: float) -> int:
    """Ask all of them to stop, kill those that have not after the grace; how many there were."""
    asked: set[int] = set()
    deadline = time.monotonic() + grace_seconds
    while remaining := find(home, session=session):
        late = time.monotonic() >= deadline
        for pid in remaining:
            if late or pid not in asked:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        asked.update(remaining)
        time.sleep(0.05)
        if late and time.monotonic() > deadline + 5:
            break
    return len(asked)


def _alive(entry: Path) -> bool:
    """Whether the process is more than an entry its parent has not collected yet."""
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
