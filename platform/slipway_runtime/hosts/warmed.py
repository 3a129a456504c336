"""The warmed host: a Ray actor, one per node, that owns the zygote and tells what its runs do."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from slipway_contracts.workload import Workload

#: A zygote that dies while it warms is started again, not faster than this.
RESTART_PAUSE_SECONDS = 1.0
#: How long `watch` waits for news before it answers anyway.
WATCH_SECONDS = 20.0


@dataclass(frozen=True)
class Snapshot:
    """What the host knows now; `version` changes with every change, `life` with every restart."""

    life: str
    version: int
    ready: bool
    stage: str
    #: Runs that are going on, by name, to their process id (0 until forked).
    running: dict[str, int]
    #: Runs that ended, by name, to the reason; empty is success.
    ended: dict[str, str]


class WarmedHost:
    """Methods may be called from several threads at once; none blocks but `watch`."""

    def __init__(self) -> None:
        self._life = secrets.token_hex(4)
        self._changed = threading.Condition()
        self._version = 0
        self._ready = False
        self._stage = "starting"
        self._running: dict[str, int] = {}
        self._ended: dict[str, str] = {}
        self._zygote: socket.socket | None = None
        # One thread for the whole life: the zygote dies with the thread that started it.
        threading.Thread(target=self._keep_zygote, name="zygote", daemon=True).start()

    def start(self, workload: Workload, *, threads: int) -> None:
        """Fork a run; starting what runs or has ended is no error and does nothing."""
        with self._changed:
            if workload.name in self._running or workload.name in self._ended:
                return
            self._running[workload.name] = 0
            order = {"workload": dataclasses.asdict(workload), "threads": threads}
            if not self._order(verb="start", **order):
                self._end(workload.name, "its warm parent process is gone; it starts again now")
            self._note_change()

    def kill(self, name: str) -> None:
        """Kill a run with all it started; the end is told by `watch`."""
        with self._changed:
            self._order(verb="kill", name=name)

    def forget(self, name: str) -> None:
        """Drop what is remembered of a run that has ended."""
        with self._changed:
            self._ended.pop(name, None)

    def watch(self, life: str, version: int) -> Snapshot:
        """What is known now, as soon as it differs from what the caller has seen."""
        with self._changed:
            self._changed.wait_for(
                lambda: (self._life, self._version) != (life, version), timeout=WATCH_SECONDS
            )
            return Snapshot(
                self._life,
                self._version,
                self._ready,
                self._stage,
                dict(self._running),
                dict(self._ended),
            )

    def pids(self) -> tuple[int, int]:
        """Process ids of this actor and of its zygote (0 while there is none)."""
        return os.getpid(), self._pid

    _pid = 0

    def _keep_zygote(self) -> None:
        while True:
            process, ours = _start_zygote()
            self._pid = process.pid
            with self._changed:
                self._zygote = ours
            with ours.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(line))
            status = process.wait()
            with self._changed:
                self._zygote, self._ready = None, False
                self._pid = 0
                self._stage = f"warming again: the warm parent ended with status {status}"
                for name in list(self._running):
                    self._end(name, "its warm parent process died, and the run with it")
                self._note_change()
            ours.close()
            time.sleep(RESTART_PAUSE_SECONDS)

    def _hear(self, event: dict[str, Any]) -> None:
        with self._changed:
            match event["event"]:
                case "stage":
                    self._stage = event["text"]
                case "ready":
                    self._ready, self._stage = True, f"warm after {event['seconds']} s"
                case "started":
                    self._running[event["name"]] = event["pid"]
                case "ended":
                    self._end(event["name"], event["reason"])
            self._note_change()

    def _end(self, name: str, reason: str) -> None:
        self._running.pop(name, None)
        self._ended[name] = reason

    def _order(self, **order: Any) -> bool:
        if self._zygote is None:
            return False
        try:
            self._zygote.sendall(json.dumps(order).encode() + b"\n")
        except OSError:
            return False
        return True

    def _note_change(self) -> None:
        self._version += 1
        self._changed.notify_all()


def _start_zygote() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "slipway_runtime.hosts.zygote"]
    # One thread each: a fork of a process with worker threads may hang in its first parallel op.
    one = dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1"
    )
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=os.environ | one | {"TOKENIZERS_PARALLELISM": "false"},
        )
    return process, ours
