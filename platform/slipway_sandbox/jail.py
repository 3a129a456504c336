"""Runs inside: locks itself up, then answers calls of one grader, a JSON line each way.

Two processes. The first, outside the walls, waits and kills the second as soon as whoever asks is
gone; the second is jailed before it sees a word of foreign code.
"""

from __future__ import annotations

import json
import linecache
import os
import select
import signal
import sys
import traceback
from typing import Any

from slipway_sandbox import syscalls, walls

_NAME = "grader.py"
#: Characters of a traceback that are told.
_TOLD = 2000


def main(home: str) -> None:
    """`home` is the folder this package lies in, which the jailed must not see."""
    sys.path.remove(home)
    told = json.loads(_line())
    walls.limit(told["memory_bytes"], told["cpu_seconds"])
    if not syscalls.known_machine():
        _refuse(f"there is no list of system calls for {os.uname().machine}")
    apart = walls.leave()
    outside = os.getpid()
    child = os.fork()
    if child:
        _keep(child)
    try:
        # The standard library is all that is left on the path: no site-packages, no folder of ours.
        standard = _roots([path for path in sys.path if os.path.isdir(path)])  # noqa: PTH112 - pathlib is slow to load
        emptied = apart and walls.empty_root(standard)
        if not walls.landlock(standard) and not emptied:
            _refuse("the kernel has neither namespaces for this user nor Landlock")
        walls.give_up_rights()
        for path in standard:
            if not os.access(path, os.R_OK | os.X_OK):
                _refuse(f"an ordinary user may not read Python's standard library in {path}")
        walls.die_with_parent(outside)
        syscalls.confine(walls.libc)
    except OSError as error:
        _refuse(str(error))
    _say({"ready": True})
    _serve(told["source"])


def _roots(paths: list[str]) -> list[str]:
    """Those that lie in no other."""
    real = sorted({os.path.realpath(path) for path in paths})
    return [path for path in real if not any(path.startswith(f"{other}/") for other in real)]


def _keep(child: int) -> None:
    """Wait for the jailed process, or for the end of whoever asks; then end whole."""
    os.close(1)
    watched = select.poll()
    watched.register(os.pidfd_open(child), select.POLLIN)
    # Nothing is read here: only that nobody writes any more is of interest.
    watched.register(0, 0)
    watched.poll()
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(status if status >= 0 else 128 - status)


def _line() -> bytes:
    """The next line, by single reads: what follows it belongs to the next call."""
    found = b""
    while not found.endswith(b"\n"):
        found += os.read(0, 1 << 16) or os._exit(0)
    return found


def _say(answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


def _refuse(why: str) -> None:
    _say({"refused": why})
    os._exit(1)


class _Nowhere:
    """Takes what is printed, and keeps none of it."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def _serve(source: str) -> None:
    sys.stdout = sys.stderr = _Nowhere()
    sys.stdin = None
    sys.argv = [_NAME]
    # So that a traceback can show the line.
    linecache.cache[_NAME] = (len(source), None, source.splitlines(keepends=True), _NAME)
    space: dict[str, Any] = {"__name__": "grader", "__builtins__": __builtins__}
    try:
        exec(compile(source, _NAME, "exec"), space)  # noqa: S102 - that is the point; walls stand
        grade = space.get("grade")
        if not callable(grade):
            raise TypeError("the source defines no function grade(sample, item)")  # noqa: TRY301
    except BaseException as error:  # noqa: BLE001 - foreign code raises what it likes
        _say({"error": _told(error)})
        return
    _say({"ready": True})
    while True:
        asked = json.loads(_line())
        try:
            score = grade(asked["sample"], asked["item"])
            if isinstance(score, bool) or not isinstance(score, int | float):
                score = _as_number(score)
            answer: dict[str, Any] = {"score": float(score)}
        except BaseException as error:  # noqa: BLE001 - likewise
            answer = {"error": _told(error)}
        _say(answer)


def _as_number(score: Any) -> float:
    """What `float` takes for a number (a Decimal, say), but no text and no nothing."""
    if isinstance(score, str | bytes) or score is None or not hasattr(score, "__float__"):
        raise TypeError(f"grade returned {type(score).__name__}, not a number")
    return float(score)


def _told(error: BaseException) -> str:
    """The traceback below the grader's own code, shortened from the front."""
    try:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
        lines = [*traceback.format_list(frames), *traceback.format_exception_only(error)]
        return "".join(lines).strip()[-_TOLD:]
    except BaseException:  # noqa: BLE001 - an exception may lie about itself
        return type(error).__name__
