"""Looks at a store that gateways share: every so often, and as soon as somebody waits for one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

#: Never faster than one look in these many seconds.
LEAST_GAP = 0.02


class Looks:
    """Calls `look` every `every_seconds`; it is told whether somebody waits for it."""

    def __init__(self, look: Callable[[bool], Awaitable[None]], *, every_seconds: float) -> None:
        self._look, self._every = look, every_seconds
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def next(self, patience_seconds: float | None = None) -> None:
        """Return after a look that began after this call, or when patience is at its end."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._asked.set()
        await asyncio.wait([future], timeout=patience_seconds)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._every)
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            await self._look(bool(waiting))
            for future in waiting:
                if not future.done():
                    future.set_result(None)
            await asyncio.sleep(LEAST_GAP)
