"""Usage records on disk before the last byte goes out: one write() each, fdatasync in a thread.

A file that is being written is locked; who can lock it knows that it is finished, even if its
writer was killed. `metering` takes the files in and deletes them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from pathlib import Path

import msgspec

from slipway_contracts.kept import CompletionLine
from slipway_contracts.usage import UsageLine

logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class SpoolFull(Exception):
    """A record could not be written; what it stands for must not be acknowledged."""


class Spool:
    """The append-only file of this process in `directory`.

    A new file is begun after `rotate_bytes` or `rotate_seconds`; `sync_seconds` is how much a
    power cut may cost (a killed process costs nothing: what was written is the kernel's).
    """

    def __init__(
        self,
        directory: Path,
        *,
        rotate_bytes: int = 16 * 1024 * 1024,
        rotate_seconds: float = 60.0,
        sync_seconds: float = 0.1,
    ) -> None:
        self.directory = directory
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._sync_seconds = sync_seconds
        self._lock = threading.Lock()
        self._handle = -1
        self._name, self._size = "", 0
        self._opened_at = 0.0
        self._dirty = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="usage-spool", daemon=True)

    def start(self) -> None:
        """Make the directory and begin to sync. Raises OSError if it cannot be made."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def write(self, line: UsageLine | CompletionLine) -> None:
        """Append the record; once this returns, no kill of this process can lose it.

        Raises SpoolFull if the disk takes no more; no half record is left behind.
        """
        data = _encode(line) + b"\n"
        with self._lock:
            try:
                if self._handle < 0:
                    self._begin()
                written = os.write(self._handle, data)
                if written != len(data):
                    os.ftruncate(self._handle, self._size)
            except OSError as error:
                raise SpoolFull(f"{self.directory}: {error}") from error
            if written != len(data):
                raise SpoolFull(f"{self.directory} took {written} of {len(data)} bytes")
            self._size += written
            self._dirty = True

    def place(self) -> tuple[str, int]:
        """The file that was last written to, and how far."""
        with self._lock:
            return self._name, self._size

    def _begin(self) -> None:
        name = f"usage-{time.time_ns()}-{os.getpid()}"
        fresh = self.directory / f"{name}.new"
        handle = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        # Locked before it has the name by which it is looked for.
        fcntl.flock(handle, fcntl.LOCK_EX)
        fresh.rename(self.directory / f"{name}.jsonl")
        self._handle, self._size, self._opened_at = handle, 0, time.monotonic()
        self._name = f"{name}.jsonl"

    def _keep(self) -> None:
        while not self._stop.wait(self._sync_seconds):
            self._sync()

    def _sync(self, *, finish: bool = False) -> None:
        with self._lock:
            if self._handle < 0:
                return
            # Never under the lock: a sync may take long, and the loop waits for the lock.
            handle, dirty = os.dup(self._handle), self._dirty
            self._dirty = False
            old = time.monotonic() - self._opened_at > self._rotate_seconds
            if finish or old or self._size >= self._rotate_bytes:
                os.close(self._handle)
                self._handle = -1
        try:
            if dirty:
                os.fdatasync(handle)
        except OSError:
            logger.exception("usage records could not be made durable in %s", self.directory)
        finally:
            # The lock lives until its last handle closes: now the file is finished.
            os.close(handle)

    def stop(self) -> None:
        """Make all durable and give the file up to be taken in."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._sync(finish=True)
