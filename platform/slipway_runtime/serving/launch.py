"""An engine's process as its replica holds it: forked from the warm parent, or started afresh."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
from typing import Any

from slipway_runtime.serving import warm

_PLATFORM = str(pathlib.Path(__file__).resolve().parents[2])
#: The warm parent takes about 20 s to warm up; a busy machine may need several times that.
_WARM_PARENT_SECONDS = 120.0


class Process:
    """A running engine: orders go in, lines come out, and its end is noticed."""

    def __init__(
        self,
        pid: int,
        orders: int,
        lines: asyncio.StreamReader,
        child: subprocess.Popen[bytes] | None,
    ) -> None:
        self.pid = pid
        self._orders: int | None = orders
        self.lines = lines
        self._child = child
        self._handle: int | None = None
        self._ended = asyncio.Event()
        try:
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended.set()
        else:
            asyncio.get_running_loop().add_reader(self._handle, self._note_end, self._handle)

    def order(self, value: Any) -> None:
        """Send the order, one JSON line."""
        if self._orders is None:
            raise OSError("the engine's input is closed")
        os.write(self._orders, json.dumps(value).encode() + b"\n")

    def end_input(self) -> None:
        """Cut the lifeline: the engine drains and leaves."""
        if self._orders is not None:
            os.close(self._orders)
            self._orders = None

    def kill(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def wait(self) -> str:
        """Wait for the end; returns how it ended, as far as it can be known."""
        await self._ended.wait()
        if self._child is None:
            return "ended (out of memory, or killed by hand?)"
        status = await asyncio.to_thread(self._child.wait)
        if status == -signal.SIGKILL:
            return "was killed by signal 9 (out of memory, or by hand?)"
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"

    def _note_end(self, handle: int) -> None:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
        self._handle = None
        self._ended.set()


async def launch(run_dir: pathlib.Path, log_path: pathlib.Path, *, threads: int) -> Process:
    """Start an engine's process, whose messages go to the end of `log_path`. Raises OSError."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    order_end, orders = os.pipe()
    lines, line_end = os.pipe()
    with log_path.open("ab") as log:
        given = [order_end, line_end, log.fileno()]
        child = None
        try:
            pid = await asyncio.to_thread(_fork, warm.door_path(run_dir), given)
            if pid is None:
                child = _spawn(given, threads=threads)
                pid = child.pid
        finally:
            os.close(order_end)
            os.close(line_end)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(lines, "rb", buffering=0)
    )
    return Process(pid, orders, reader, child)


def _fork(door: pathlib.Path, given: list[int]) -> int | None:
    """Ask the warm parent; None where there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(_WARM_PARENT_SECONDS)
            caller.connect(str(door))
            socket.send_fds(caller, [b"e"], given)
            return int(json.loads(caller.recv(256))["pid"])
    except (OSError, ValueError):
        return None


def _spawn(given: list[int], *, threads: int) -> subprocess.Popen[bytes]:
    paths = [_PLATFORM, os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-m", "slipway_runtime.serving"],
        stdin=given[0],
        stdout=given[1],
        stderr=given[2],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "OMP_NUM_THREADS": str(threads),
        },
    )
