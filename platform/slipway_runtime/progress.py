"""Writes a run's notes as small objects, a chunk at most every half second.

A thread of its own writes, so that a slow store never slows a training step. Chunks that are
already there (an earlier life of the same attempt) are never written again: numbering goes on.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from types import TracebackType
from typing import Self

from slipway_contracts.progress import Note, NoteKind, chunk_name, to_lines
from slipway_runtime import files

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5


class Writer:
    """Takes notes from any thread; `close` returns when all of them are stored."""

    def __init__(self, output_uri: str, attempt: int) -> None:
        self._output_uri = output_uri
        self._attempt = attempt
        self._seq = _next_seq(output_uri, attempt)
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
            self._wake.wait()
            self._wake.clear()
            try:
                self.flush()
            except Exception:
                # Kept for the next try; what still fails at the end fails the run by `close`.
                logger.exception("progress not stored, trying again")
                self._wake.set()
            # The first note of a quiet time goes out at once, the following ones together.
            self._closed.wait(PAUSE_SECONDS)


def _next_seq(output_uri: str, attempt: int) -> int:
    pattern = re.compile(rf"{attempt:03d}-(\d+)\.jsonl")
    found = [pattern.fullmatch(n) for n in files.names(files.join(output_uri, "progress"))]
    return max((int(m[1]) for m in found if m), default=-1) + 1
