"""One look at the database a second for all who listen to this process; none if nobody does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from django.db import close_old_connections, connections

logger = logging.getLogger(__name__)
#: A listener that is this far behind is told that anything may have changed.
MOST_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class News:
    """Something changed: for whom, in which module, what."""

    module: str
    kind: str
    id: str
    #: Told in this project; or, where it is null, in all projects of the organisation.
    project_id: UUID | None
    organisation_id: UUID | None = None


@dataclass(eq=False)
class Listener:
    """Who is told what: one project, and the modules its credential may look at."""

    project_id: UUID
    organisation_id: UUID
    modules: frozenset[str]
    waiting: dict[tuple[str, str], None] = field(default_factory=dict)
    overrun: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, news: News) -> None:
        here = self.project_id if news.project_id else self.organisation_id
        if here != (news.project_id or news.organisation_id) or news.module not in self.modules:
            return
        if len(self.waiting) >= MOST_WAITING:
            self.overrun = True
        else:
            self.waiting[news.kind, news.id] = None
        self.told.set()

    def take(self) -> tuple[list[tuple[str, str]], bool]:
        """What was told since, each once, and whether some of it was lost."""
        taken, overrun = list(self.waiting), self.overrun
        self.waiting, self.overrun = {}, False
        self.told.clear()
        return taken, overrun


Look = Callable[[], Iterable[News]]


class Hub:
    """Looks while somebody listens. `begin` makes a look that tells what is new since the last."""

    def __init__(self, begin: Callable[[], Look], *, every_seconds: float = 1.0) -> None:
        self._begin, self._every = begin, every_seconds
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._listeners)

    async def listen(self, listener: Listener, *, idle_seconds: float) -> AsyncIterator[bool]:
        """Yields True when there is something to take, False after so long without anything."""
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            while True:
                try:
                    await asyncio.wait_for(listener.told.wait(), idle_seconds)
                    yield True
                except TimeoutError:
                    yield False
        finally:
            self._listeners.discard(listener)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        # One thread: a look remembers, and its database connection is its own.
        with ThreadPoolExecutor(1, thread_name_prefix="changes") as thread:
            look: Look | None = None
            while self._listeners:
                try:
                    if look is None:
                        look = await loop.run_in_executor(thread, self._begin)
                    for news in await loop.run_in_executor(thread, _with_connection, look):
                        for listener in self._listeners:
                            listener.offer(news)
                except Exception:
                    # The database may be away for a while; whoever listens is told later.
                    logger.warning("the look for changes failed", exc_info=True)
                await asyncio.sleep(self._every)
            await loop.run_in_executor(thread, connections.close_all)


def _with_connection(look: Look) -> list[News]:
    close_old_connections()
    return list(look())
