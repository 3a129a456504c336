"""Jailed graders for several threads: each call takes an idle one of its source, or starts one."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from slipway_sandbox.python import MEMORY_BYTES, SECONDS, GraderFault, PythonGrader


class Jails:
    """`grade(source, sample, item)` from any thread; ends with `close()` or a `with` block."""

    def __init__(self, *, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._seconds, self._memory_bytes = seconds, memory_bytes
        self._idle: dict[str, list[PythonGrader]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def grade(self, source: str, sample: dict[str, Any], item: dict[str, Any]) -> float:
        """The score of one sample; GraderFault if it has none within the limits, NoJail."""
        with self._lock:
            waiting = self._idle.get(source)
            grader = waiting.pop() if waiting else None
        if grader is None:
            grader = PythonGrader(source, seconds=self._seconds, memory_bytes=self._memory_bytes)
        try:
            score = grader.grade(sample, item)
        except GraderFault:
            self._keep(source, grader)
            raise
        except BaseException:
            grader.close()
            raise
        self._keep(source, grader)
        return score

    def _keep(self, source: str, grader: PythonGrader) -> None:
        with self._lock:
            if not self._closed:
                self._idle.setdefault(source, []).append(grader)
                return
        grader.close()

    def close(self) -> None:
        """Kill those that are idle now, and those that work as soon as they have answered."""
        with self._lock:
            self._closed = True
            idle = [grader for graders in self._idle.values() for grader in graders]
            self._idle.clear()
        for grader in idle:
            grader.close()
