"""What a request writes and the entry that records it are one transaction.

Most requests are rows only, and all of one is a transaction. One that moves bytes, asks other
servers or computes long must hold no lock meanwhile: its view declares `waits`, and what comes
last, its rows, begins with `begin()`. From there to the answer all is one transaction, which ends
with the audit entry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from django.db import transaction

_part: ContextVar[Part | None] = ContextVar("together", default=None)


class Part:
    """The last part of one request: whether it has begun, and what outlives its undoing."""

    def __init__(self) -> None:
        self.begun = False
        #: A refusal, but of nothing that was written.
        self.stands = False
        self.kept: list[Callable[[], object]] = []
        self._stack = contextlib.ExitStack()

    def begin(self) -> None:
        if not self.begun:
            self._stack.enter_context(transaction.atomic())
            self.begun = True

    def undo(self) -> None:
        """What was written since it began is not kept, if it began."""
        if self.begun:
            transaction.set_rollback(True)


@contextlib.contextmanager
def last_part() -> Iterator[Part]:
    """A request whose view waits; the transaction, where one began, ends with this block."""
    part = Part()
    token = _part.set(part)
    try:
        with part._stack:
            yield part
        for write in part.kept:
            write()
    finally:
        _part.reset(token)


def begin() -> None:
    """What this request writes from here on stands with its audit entry or not at all.

    Called outside of any transaction of one's own. Nothing where a transaction of the whole
    request is open anyway, and in workers, whom nobody records.
    """
    part = _part.get()
    if part is not None:
        part.begin()


def stand() -> None:
    """What was written, and is from here on, stands although the answer will be a refusal."""
    part = _part.get()
    if part is not None:
        part.begin()
        part.stands = True


def keep(write: Callable[[], object]) -> None:
    """Write what a refusal must not undo, such as that a password was wrong."""
    part = _part.get()
    if part is not None and part.begun:
        part.kept.append(write)
    else:
        write()
