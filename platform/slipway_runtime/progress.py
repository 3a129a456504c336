"""Writes a run's notes as small objects, a chunk at most every half second.

A thread of its own writes, so that a slow store never slows a training step. Chunks that are
already there (an earlier life of the same attempt) are never written again: numbering goes on.
The same thread looks now and then whether this attempt was given up: a machine that lost its
network, and was taken for lost, may come back while the next attempt runs elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from types import TracebackType
from typing import Self

from slipway_contracts.progress import Note, NoteKind, chunk_name, to_lines
from slipway_contracts.workload import OVER_NAME
from slipway_runtime import files

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
#: Between two looks at whether this attempt was given up.
LOOK_SECONDS = 10.0


class GivenUp(Exception):
    """The platform no longer waits for this attempt; the next one may run already."""


class Writer:
    """Takes notes from any thread; `close` returns when all of them are stored."""

    def __init__(self, output_uri: str, attempt: int) -> None:
        self._output_uri = output_uri
        self._attempt = attempt
        self._seq = _next_seq(output_uri, attempt)
        self._given_up = False
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._notes: list[Note] = []
        self._lock = threading.Lock()
        # Chunks must appear in the order of their numbers, whoever flushes.
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def add(self, note: Note) -> None:
        with self._lock:
            self._notes.append(note)
        self._wake.set()

    def go_on(self) -> None:
        """Raise GivenUp where somebody else goes on with this run."""
        if self._given_up:
            raise GivenUp(f"attempt {self._attempt} was given up while it ran; it ends here")

    def text(self, kind: NoteKind, text: str) -> None:
        self.add(Note(kind=kind, at=time.time(), text=text))

    def flush(self) -> None:
        """Store what was noted so far; on failure it stays noted and the error is raised."""
        with self._writing:
            with self._lock:
                batch = list(self._notes)
            if not batch:
                return
            name = chunk_name(attempt=self._attempt, seq=self._seq)
            files.put(files.join(self._output_uri, name), to_lines(batch))
            self._seq += 1
            with self._lock:
                del self._notes[: len(batch)]

    def close(self) -> None:
        self._closed.set()
        self._wake.set()
        self._thread.join()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            try:
                self.flush()
            except Exception:
                # Kept for the next try; what still fails at the end fails the run by `close`.
                logger.exception("progress not stored, trying again")
                self._wake.set()
            self._look()
            # The first note of a quiet time goes out at once, the following ones together.
            self._closed.wait(PAUSE_SECONDS)

    def _look(self) -> None:
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        # A store that does not answer says nothing; what has to be stored there fails by itself.
        with contextlib.suppress(Exception):
            over = int(files.read(files.join(self._output_uri, OVER_NAME)))
            self._given_up = over >= self._attempt


def _next_seq(output_uri: str, attempt: int) -> int:
    pattern = re.compile(rf"{attempt:03d}-(\d+)\.jsonl")
    found = [pattern.fullmatch(n) for n in files.names(files.join(output_uri, "progress"))]
    return max((int(m[1]) for m in found if m), default=-1) + 1
