"""Coroutines that are driven by callbacks, so that a request costs neither a task nor a future.

What is driven waits by `while not condition: await waiting()`. Whoever may have changed the
condition calls `resume()`, as often as it likes; it runs on in that caller's stack.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


@types.coroutine
def waiting() -> Generator[None, None, None]:
    """Give way until the next `resume()`, whatever it was called for."""
    yield


class Driver:
    """Drives one coroutine; `broken` hears of an exception that the coroutine let out."""

    __slots__ = ("_broken", "_running", "_thrown", "_work")

    def __init__(self, broken: Callable[[BaseException], None]) -> None:
        self._broken: Callable[[BaseException], None] | None = broken
        self._work: Coroutine[Any, Any, None] | None = None
        self._running = False
        self._thrown: Exception | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self.resume()

    def interrupt(self, error: Exception) -> None:
        """Raise `error` where the coroutine waits, or will wait next; nothing if it has ended."""
        self._thrown = error
        self.resume()

    def resume(self) -> None:
        # It looks at its condition before it waits: who calls from within it need not wait for it.
        if self._running or self._work is None:
            return
        self._running = True
        try:
            while True:
                if self._thrown is None:
                    self._work.send(None)
                else:
                    thrown, self._thrown = self._thrown, None
                    self._work.throw(thrown)
                if self._thrown is None:
                    return
        except StopIteration:
            # Its owner holds us and is held by this: a circle would live until it is looked for.
            self._work = self._broken = None
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is for the owner
            broken, self._work, self._broken = self._broken, None, None
            if broken is not None:
                broken(error)
        finally:
            self._running = False

    async def slowly(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What needs the event loop's own machinery, as a task, awaited from a driven coroutine."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._done)
        try:
            while not task.done():
                await waiting()
        except BaseException:
            task.cancel()
            raise
        return task.result()

    def _done(self, _: asyncio.Task[Any]) -> None:
        self.resume()
