"""Streams that are under way, so that those of a killed gateway are written up all the same.

A file beside the spool is mapped into memory: what is stored there is the kernel's, whatever
becomes of the process, and costs no system call. Each stream has a slot in it with its record as
far as that is known, and with how much the client was sent, which moves with every event. The file
is locked; who can lock it knows that its process is gone, and spools what is left in it. That may
happen twice, or for a stream whose record was written too: the ledger takes an id in once.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from slipway.gateway import sse
from slipway.gateway.spool import SpoolFull
from slipway_contracts.usage import UsageLine

logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UsageLine).decode

#: A slot is events, their bytes, the length of the record, and the record as JSON.
_HEAD = struct.Struct("=QQQ")
SLOT_BYTES = 2048
#: The file grows by so many slots, whose place on the disk is had before they are used.
_TOGETHER = 128
_BLOCK_BYTES = SLOT_BYTES * _TOGETHER


class Slot(msgspec.Struct, eq=False):
    """One stream's; `sent` are the events and bytes its client was sent."""

    number: int
    sent: memoryview


class Underway:
    """The streams of this process, in a file of its own in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path: Path | None = None
        self._handle = -1
        self._blocks: list[memoryview] = []
        self._free: list[int] = []

    def start(self, write: Callable[[UsageLine], None]) -> None:
        """Hand what killed processes left to `write`, and begin. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._directory.glob("*.slots")):
            _write_up(path, write)
        name = f"underway-{time.time_ns()}-{os.getpid()}"
        fresh = self._directory / f"{name}.new"
        self._handle = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        # Locked before it has the name by which it is looked for.
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        self._path = fresh.rename(self._directory / f"{name}.slots")

    def enter(self, line: UsageLine) -> Slot | None:
        """A slot for a stream, to be given back by `leave`; None where the disk is full."""
        data = _encode(line)
        try:
            number = self._free.pop() if self._free else self._grow()
        except OSError as error:
            logger.error("a stream is not noted in %s: %s", self._directory, error)  # noqa: TRY400 - the cause is in the message
            return None
        block, at = self._blocks[number // _TOGETHER], number % _TOGETHER * SLOT_BYTES
        block[at + _HEAD.size : at + _HEAD.size + len(data)] = data
        words = block[at : at + _HEAD.size].cast("Q")
        # Its length last: until then there is nobody in the slot.
        words[0] = words[1] = 0
        words[2] = len(data)
        return Slot(number, words)

    def leave(self, slot: Slot) -> None:
        """The stream's record is written."""
        slot.sent[2] = 0
        self._free.append(slot.number)

    def _grow(self) -> int:
        size = len(self._blocks) * _BLOCK_BYTES
        # Else a full disk would end the process when a page is touched.
        os.posix_fallocate(self._handle, size, _BLOCK_BYTES)
        self._blocks.append(memoryview(mmap.mmap(self._handle, _BLOCK_BYTES, offset=size)))
        first = (len(self._blocks) - 1) * _TOGETHER
        self._free = list(range(first + _TOGETHER - 1, first, -1))
        return first

    def stop(self) -> None:
        """Give the file up; whoever is still in it is written up by the next to start."""
        if self._path is not None and len(self._free) == len(self._blocks) * _TOGETHER:
            self._path.unlink(missing_ok=True)
        if self._handle >= 0:
            # The maps have handles of their own.
            fcntl.flock(self._handle, fcntl.LOCK_UN)
            os.close(self._handle)
            self._handle = -1


def _write_up(path: Path, write: Callable[[UsageLine], None]) -> None:
    """Spool the streams of a process that is gone, and remove its file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            data = file.read()
            for at in range(0, len(data), SLOT_BYTES):
                events, size, length = _HEAD.unpack_from(data, at)
                begin = at + _HEAD.size
                if length:
                    line = _decode(data[begin : begin + length])
                    line.completion_tokens = sse.tokens(events, size)
                    write(line)
            path.unlink(missing_ok=True)
    except (BlockingIOError, FileNotFoundError):
        # It lives, or another was quicker.
        return
    except (msgspec.DecodeError, struct.error, SpoolFull) as error:
        # It stays for the next to start.
        logger.error("what was under way in %s is not written up: %s", path, error)  # noqa: TRY400 - the cause is in the message
