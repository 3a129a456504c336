"""The warm parent: a single-threaded process that has imported everything and forks per run.

`python -m slipway_runtime.hosts.zygote <fd> <pid>`: a socket to the owner, and its process id.
Both sides speak JSON lines. In: {"verb": "start", "workload": …, "threads": n} and
{"verb": "kill", "name": …}. Out: {"event": "stage", "text": …}, {"event": "ready", "seconds": …},
{"event": "started", "name": …, "pid": …}, {"event": "ended", "name": …, "reason": …}, where an
empty reason is success. When the socket closes, all runs are killed and the process ends: no run
outlives its owner.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from slipway_contracts.workload import Workload, workload_from_json
from slipway_runtime import places, run
from slipway_runtime.hosts import fate, output
from slipway_runtime.serving import warm

#: A reason is one atomic write to a pipe.
REASON_BYTES = 4000


@dataclass(frozen=True, kw_only=True)
class Child:
    name: str
    #: Read end of the pipe that carries the reason of a failure.
    reason_fd: int


class Zygote:
    def __init__(self, owner: socket.socket) -> None:
        self._owner = owner
        #: Replicas come here for engines; it listens while we warm up, so that they wait.
        self._door = warm.Door(warm.door_path(places.run_dir()))
        self._children: dict[int, Child] = {}
        self._killed: set[str] = set()
        self._buffer = b""

    def serve(self) -> None:
        """Obey the owner until its end of the socket closes."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write)
        selector = selectors.DefaultSelector()
        selector.register(self._owner, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        selector.register(self._door, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == wake_read:
                    os.read(wake_read, 4096)
                    self._reap()
                    self._door.reap()
                elif key.fileobj is self._door:
                    self._door.answer()
                elif not self._obey():
                    self._kill_all()
                    return

    def _obey(self) -> bool:
        data = self._owner.recv(1 << 16)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if order["verb"] == "start":
                workload = workload_from_json(json.dumps(order["workload"]))
                self._start(workload, threads=order["threads"])
            else:
                self._kill(order["name"])
        return bool(data)

    def _start(self, workload: Workload, *, threads: int) -> None:
        reason_read, reason_write = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(reason_read)
            os.close(reason_write)
            self._tell(event="ended", name=workload.name, reason=f"no process for it: {error}")
            return
        if pid == 0:
            _become_run(workload, threads=threads, parent=parent, reason_fd=reason_write)
        os.close(reason_write)
        self._children[pid] = Child(name=workload.name, reason_fd=reason_read)
        self._tell(event="started", name=workload.name, pid=pid)

    def _kill(self, name: str) -> None:
        for pid, child in self._children.items():
            if child.name == name:
                self._killed.add(name)
                _kill_group(pid)
                # Not reaped yet, so the id is still its own; before setsid only this hits it.
                os.kill(pid, signal.SIGKILL)

    def _kill_all(self) -> None:
        for child in list(self._children.values()):
            self._kill(child.name)

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._children[pid]
            # What the run itself started ends with it.
            _kill_group(pid)
            told = os.read(child.reason_fd, REASON_BYTES).decode(errors="replace")
            os.close(child.reason_fd)
            reason = _reason(status, told=told)
            if child.name in self._killed:
                self._killed.discard(child.name)
                reason = reason and "stopped on request"
            self._tell(event="ended", name=child.name, reason=reason)

    def _tell(self, **event: Any) -> None:
        self._owner.sendall(json.dumps(event).encode() + b"\n")


def preload(tell: Any) -> None:
    """Import what the recipes import; what a recipe imports at its top is warm."""
    for name in run.RECIPES:
        tell(event="stage", text=f"importing what a run of kind {name} needs")
        run.recipe(name)
    if "SLIPWAY_RECIPES" not in os.environ:  # recipes of one's own say alone what is warm
        tell(event="stage", text="importing what serving needs")
        warm.preload()
    # Collected once and then left alone, the pages stay shared with every run.
    gc.collect()
    gc.freeze()


def _reason(status: int, *, told: str) -> str:
    """Why a child ended, empty for success."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL:
            return "the run was killed by signal 9 (out of memory, or by hand)"
        return f"the run was killed by signal {number} ({signal.Signals(number).name})"
    code = os.waitstatus_to_exitcode(status)
    return "" if code == 0 else told or f"the run ended with status {code}; see its log"


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _become_run(workload: Workload, *, threads: int, parent: int, reason_fd: int) -> None:
    """What the forked child does; never returns."""
    code = 70
    try:
        os.setsid()
        fate.die_with_parent(parent)
        fate.be_called("slipway-run")
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        output.print_to_log(workload.name)
        os.environ |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        failure = run.carry_out(workload)
        if failure is not None:
            os.write(reason_fd, failure.reason.encode()[:REASON_BYTES])
        code = 0 if failure is None else 1
    except BaseException:  # noqa: BLE001 - the end of this process, whatever it is
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not `exit`: what the parent registered for its own end is not the child's business.
        os._exit(code)


def main() -> None:
    # Ray's worker blocks some signals; a run starts with none blocked.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    fate.die_with_parent(int(sys.argv[2]))
    owner = socket.socket(fileno=int(sys.argv[1]))
    zygote = Zygote(owner)
    began = time.monotonic()
    preload(zygote._tell)
    zygote._tell(event="ready", seconds=round(time.monotonic() - began, 1))
    zygote.serve()


if __name__ == "__main__":
    main()
