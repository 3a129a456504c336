"""A grader in Python, called in a jail of its own: `grade(sample, item)` gives a number.

The jail has no network, no files but Python's standard library (read-only), no other processes,
and no way to make any; memory, time and output are capped, and it is killed whole. Where the
kernel does not allow that, nothing is run: `NoJail`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: Bounds of one grader.
SOURCE_BYTES = 256 * 1024
MEMORY_BYTES = 512 * 1024 * 1024
SECONDS = 10.0
#: Characters of JSON that go in and come out of a call.
ASKED_BYTES, ANSWER_BYTES = 16 * 1024 * 1024, 64 * 1024
_START_SECONDS = 30.0
#: A process that has worked for so long is replaced, so that its CPU limit never bites a good one.
_WORK_SECONDS = 120.0

_HOME = str(Path(__file__).resolve().parent.parent)
_ENTRY = (
    f"import sys; sys.path.append({_HOME!r}); from slipway_sandbox import jail; "
    f"jail.main({_HOME!r})"
)


class NoJail(Exception):
    """This machine cannot wall the grader in, so it does not run; the text says what is missing."""


class GraderFault(Exception):
    """The grader itself is at fault: its text, an exception, a limit; the text says which.

    What it says of itself may hold what no database takes, half a surrogate pair or NUL, which is
    told by its escape here: on this side of the wall, where it cannot be got around.
    """

    def __init__(self, text: str) -> None:
        kept = text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
        super().__init__(kept)


class PythonGrader:
    """One grader, kept in its jail from call to call; ends with `close()` or a `with` block.

    Not for several threads at once: give each its own.
    """

    def __init__(
        self, source: str, *, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        if len(source.encode(errors="surrogatepass")) > SOURCE_BYTES:
            raise GraderFault(f"the source is longer than {SOURCE_BYTES} bytes")
        self._source, self._seconds, self._memory_bytes = source, seconds, memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._worked = 0.0
        self._kept = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin, or do nothing if it runs; GraderFault if the source cannot be loaded, NoJail."""
        if self._process is not None:
            return
        # No environment, no open files, no terminal: what is secret does not come along.
        self._process = subprocess.Popen(  # noqa: S603 - our own jailer
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _ENTRY],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            bufsize=0, env={}, cwd="/", start_new_session=True,
        )  # fmt: skip
        self._kept, self._worked = b"", 0.0
        limits = {
            "source": self._source,
            "memory_bytes": self._memory_bytes,
            "cpu_seconds": math.ceil(_WORK_SECONDS + 2 * self._seconds + 5),
        }
        jailed = self._talk(json.dumps(limits).encode() + b"\n", _START_SECONDS)
        if "refused" in jailed:
            self.close()
            raise NoJail(f"Python graders cannot run here: {jailed['refused']}.")
        loaded = self._talk(b"", self._seconds)
        if "error" in loaded:
            self.close()
            raise GraderFault(str(loaded["error"]))

    def grade(self, sample: dict[str, Any], item: dict[str, Any]) -> float:
        """The score; GraderFault if it has none within the limits, NoJail if it may not run."""
        self.start()
        began = time.monotonic()
        answer = self._ask({"sample": sample, "item": item}, self._seconds)
        self._worked += time.monotonic() - began
        if self._worked > _WORK_SECONDS:
            self.close()
        score = answer.get("score")
        if not isinstance(score, int | float) or not math.isfinite(score):
            said = answer.get("error") or f"grade returned {score!r}, not a finite number"
            raise GraderFault(str(said))
        return float(score)

    def close(self) -> None:
        """Kill it, whatever it is doing."""
        process, self._process = self._process, None
        if process is None:
            return
        # The jailed process dies with the one that keeps it.
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        data = json.dumps(question).encode() + b"\n"
        if len(data) > ASKED_BYTES:
            raise GraderFault(f"sample and item are longer than {ASKED_BYTES} bytes of JSON")
        answer = self._talk(data, seconds)
        if self._kept:
            self.close()
            raise GraderFault("it wrote into the channel of its answers")
        return answer

    def _talk(self, data: bytes, seconds: float) -> dict[str, Any]:
        """Write all of `data` and read one line, within `seconds` altogether."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None  # noqa: S101,PT018 - pipes were asked for
        into, out = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(into, False)
        end = time.monotonic() + seconds
        while data or b"\n" not in self._kept:
            left = max(0.0, end - time.monotonic())
            readable, writable, _ = select.select([out], [into] if data else [], [], left)
            if writable:
                # A pipe that nobody reads any more: the end shows below.
                with contextlib.suppress(BrokenPipeError):
                    data = data[os.write(into, data[: 1 << 16]) :]
            if readable and not (got := os.read(out, 1 << 16)):
                raise GraderFault(self._ended())
            self._kept += got if readable else b""
            if len(self._kept) > ANSWER_BYTES:
                self.close()
                raise GraderFault(f"it wrote more than {ANSWER_BYTES} bytes and was killed")
            if not left:
                self.close()
                raise GraderFault(f"it took longer than {seconds:g} seconds and was killed")
        line, _, self._kept = self._kept.partition(b"\n")
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            self.close()
            raise GraderFault("it wrote into the channel of its answers")
        return said

    def _ended(self) -> str:
        """Why the process is gone."""
        process = self._process
        status = process.wait(timeout=_START_SECONDS) if process is not None else 0
        self.close()
        if status > 128:
            return f"its process was ended by signal {status - 128}"
        return f"it ended its own process with status {status}"
