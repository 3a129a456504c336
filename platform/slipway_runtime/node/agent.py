"""The node agent: carries out apply, observe, delete and logs with Ray on this machine.

Nothing here is durable. After a restart every workload is ABSENT, and whoever asked for it
applies it again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from slipway_contracts.workload import Kind, Observation, State, Workload
from slipway_runtime import places
from slipway_runtime.hosts import workers
from slipway_runtime.hosts.warmed import Snapshot, WarmedHost
from slipway_runtime.node import ray_head
from slipway_runtime.node.board import Board, Run
from slipway_runtime.node.deployments import Deployments

logger = logging.getLogger(__name__)

#: At most so much of a log in one answer.
LOG_BYTES = 1 << 20
HOST_NAME = "warmed"


class Agent:
    """One per machine and SLIPWAY_HOME; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        slots = int(os.environ.get("SLIPWAY_JOB_SLOTS", "1"))
        self._board = Board(slots=max(1, slots))
        self._threads = max(1, (os.cpu_count() or 1) // max(1, slots))
        self._deployments = Deployments()
        self._groups = workers.Groups(self._group_ended, threads=self._threads)
        self._host: Any = None
        self._warming = "starting Ray"
        self._life = ""
        self.head: ray_head.Head | None = None
        #: Why the agent cannot go on; empty while it can.
        self.broken = ""

    def start(self) -> None:
        """Begin to warm up, in a thread: Ray's daemons live as long as this thread does."""
        threading.Thread(target=self._live, name="ray", daemon=True).start()

    # The verbs.

    def apply(self, workload: Workload) -> None:
        with self._lock:
            if workload.kind is Kind.SERVE:
                self._deployments.place(workload)
            else:
                self._board.place(workload)
                self._dispatch()

    def observe(self, name: str) -> Observation:
        with self._lock:
            if not self._deployments.has(name):
                return self._board.observe(name, warming=self._warming)
        # Asks the engines, so not under the lock.
        return self._deployments.observe(name, warming=self._warming)

    def delete(self, name: str) -> None:
        if self._deployments.has(name):
            self._deployments.delete(name)
            return
        with self._lock:
            run = self._board.runs.get(name)
            if run is None:
                return
            if run.state is not State.RUNNING:
                del self._board.runs[name]
                self._tell_host("forget", name)
            elif not run.stopping:
                run.stopping = True
                if not self._groups.stop(name):
                    self._tell_host("kill", name)

    def names(self) -> list[str]:
        with self._lock:
            return sorted([*self._board.runs, *self._deployments.names()])

    def readiness(self) -> tuple[bool, str]:
        return not self._warming, self._warming or "ready"

    def log(self, name: str, *, offset: int) -> tuple[bytes, int]:
        """Whole lines from byte `offset` (at most the last mebibyte), and where to go on."""
        try:
            with places.log_file(name).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(min(offset, size), size - LOG_BYTES))
                start, data = file.tell(), file.read(LOG_BYTES)
        except FileNotFoundError:
            return b"", 0
        with self._lock:
            run = self._board.runs.get(name)
            goes_on = self._deployments.has(name) or (run and run.state is State.RUNNING)
        # What goes on may be in the middle of a line.
        end = data.rfind(b"\n") + 1 if goes_on else len(data)
        return data[:end], start + end

    # What keeps it going.

    def _live(self) -> None:
        try:
            self.head = ray_head.start()
            with self._lock:
                self._warming = "starting the host for runs"
                self._host = _start_host()
            self._deployments.ray_is_there()
            self._follow_host()
        except BaseException as error:
            logger.exception("the node agent cannot go on")
            self.broken = f"{type(error).__name__}: {error}"

    def _follow_host(self) -> None:
        import ray

        version = -1
        while True:
            try:
                seen: Snapshot = ray.get(self._host.watch.remote(self._life, version))
            except ray.exceptions.RayActorError as error:
                logger.warning("the warmed host died, Ray starts it again: %s", error)
                with self._lock:
                    self._warming = "starting the host for runs again: it died"
                    self._lose_runs()
                time.sleep(0.5)
                continue
            version = seen.version
            with self._lock:
                self._take_in(seen)
                self._dispatch()

    def _take_in(self, seen: Snapshot) -> None:
        """Bring the board up to what the host says."""
        self._warming = "" if seen.ready else seen.stage
        if seen.life != self._life:
            self._life = seen.life
            self._lose_runs()
        for name in seen.running:
            run = self._board.runs.get(name)
            if run is None or run.state is not State.RUNNING:
                # Started in a life we had given up; whoever asked for it tries again.
                self._tell_host("kill", name)
        for name, reason in seen.ended.items():
            run = self._board.runs.get(name)
            if run is not None and run.state is State.RUNNING:
                self._board.end(run, reason=reason)
                logger.info("ended %s: %s", name, reason or "well")
            if name not in self._board.runs:
                self._tell_host("forget", name)

    def _lose_runs(self) -> None:
        for run in self._board.running():
            if run.life and run.life != self._life:
                self._board.end(run, reason="its host died, and the run with it")

    def _dispatch(self) -> None:
        """Start what may start now."""
        while run := self._board.next():
            if _needs_group(run.workload):
                if self._host is None:
                    return
                self._board.start(run, life="")
                self._groups.start(run.workload)
            elif self._warming:
                return
            else:
                self._board.start(run, life=self._life)
                self._host.start.remote(run.workload, threads=self._threads)
            logger.info("started %s", run.workload.name)

    def _group_ended(self, name: str, reason: str) -> None:
        with self._lock:
            run: Run | None = self._board.runs.get(name)
            if run is not None and run.state is State.RUNNING:
                self._board.end(run, reason=reason)
                logger.info("ended %s: %s", name, reason or "well")
            self._dispatch()

    def _tell_host(self, verb: str, name: str) -> None:
        if self._host is not None:
            getattr(self._host, verb).remote(name)


def _needs_group(workload: Workload) -> bool:
    """Runs of several workers need Ray Train; others may ask for it by `"host": "workers"`."""
    return workload.workers > 1 or workload.settings.get("host") == "workers"


def _start_host() -> Any:
    import ray

    return (
        ray.remote(WarmedHost)
        .options(name=HOST_NAME, num_cpus=0, max_restarts=-1, max_concurrency=8)
        .remote()
    )
