"""Files of lines that one process appends to and another takes in, exactly once.

The writer holds a lock on its file for as long as it lives; who can lock it knows that the file
is finished, even if its writer was killed.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

#: Bytes taken in at once: what a lot costs beside its lines is little then.
PIECE_BYTES = 4 * 1024 * 1024
#: A line is never longer than this.
LONGEST_LINE = 64 * 1024 * 1024


def take_in(path: Path, *, offset: int, store: Callable[[int, bytes], None]) -> bool:
    """Give `store` whole lines from `offset` on, with the offset of each lot.

    Returns whether the file was finished and is deleted. Whatever `store` raises ends it.
    """
    with path.open("rb") as file:
        finished = _writer_is_gone(file.fileno())
        size = PIECE_BYTES
        while True:
            file.seek(offset)
            piece = file.read(size)
            whole = piece[: piece.rfind(b"\n") + 1]
            if whole:
                store(offset, whole)
                offset += len(whole)
                size = PIECE_BYTES
            elif len(piece) == size < LONGEST_LINE:
                size *= 2
            else:
                break
        if finished:
            if piece:
                reject(path, offset, piece, "the line has no end: its writer was cut off")
            path.unlink()
    return finished


def reject(path: Path, offset: int, line: bytes, why: str) -> None:
    """Keep a line that cannot be used beside the spool: it must not stop its neighbours."""
    logger.error("spool file %s, at or after byte %d: %s", path.name, offset, why)
    with path.with_suffix(".rejected").open("ab") as file:
        file.write(line + b"\n")


def _writer_is_gone(handle: int) -> bool:
    # The lock goes with the process, however it ended.
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
