"""Which resources want a look, and when: each once at a time, later and later while it fails."""

from __future__ import annotations

import heapq
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram

from slipway_operator.cluster import Again

logger = logging.getLogger(__name__)

LOOKS = Counter("slipway_operator_looks_total", "Looks at resources.", ["kind", "outcome"])
SECONDS = Histogram("slipway_operator_look_seconds", "How long a look took.", ["kind"])
WAITING = Gauge("slipway_operator_waiting", "Resources that will be looked at, now or later.")
KNOWN = Gauge("slipway_operator_resources", "Resources that are looked after.")

LONGEST_WAIT_SECONDS = 30.0


class Key(NamedTuple):
    plural: str
    namespace: str
    name: str


class Queue:
    """Looks are asked for by events and by the clock, and done by a few threads."""

    def __init__(self, look: Callable[[Key], float | None], *, threads: int, resync: float) -> None:
        self._look = look
        self._resync = resync
        self._changed = threading.Condition()
        self._at: dict[Key, float] = {}
        #: The same by time; what is not in `_at` like this any more is skipped.
        self._heap: list[tuple[float, Key]] = []
        self._busy: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._known: set[Key] = set()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"look-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the looks that have begun end, and begin no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(20)

    def ask(self, key: Key, *, after: float = 0.0) -> None:
        """Ask for a look; of several askings the soonest counts."""
        at = time.monotonic() + after
        with self._changed:
            self._known.add(key)
            KNOWN.set(len(self._known))
            if self._at.get(key, float("inf")) <= at:
                return
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))
            WAITING.set(len(self._at))
            self._changed.notify()

    def _work(self) -> None:
        while (key := self._next()) is not None:
            again = self._look_at(key)
            with self._changed:
                self._busy.discard(key)
                if key in self._at:
                    # It was asked for meanwhile, and passed over.
                    heapq.heappush(self._heap, (self._at[key], key))
                if again == math.inf:
                    self._known.discard(key)
                    KNOWN.set(len(self._known))
                self._changed.notify()
            if again != math.inf:
                self.ask(key, after=again)

    def _next(self) -> Key | None:
        with self._changed:
            while not self._stopped:
                while self._heap and self._is_old(*self._heap[0]):
                    heapq.heappop(self._heap)
                now = time.monotonic()
                if self._heap and self._heap[0][0] <= now:
                    key = heapq.heappop(self._heap)[1]
                    del self._at[key]
                    self._busy.add(key)
                    WAITING.set(len(self._at))
                    return key
                self._changed.wait(self._heap[0][0] - now if self._heap else None)
            return None

    def _is_old(self, at: float, key: Key) -> bool:
        return key in self._busy or self._at.get(key) != at

    def _look_at(self, key: Key) -> float:
        """Do it; seconds until the next look, which comes at the latest with the resync."""
        outcome, wait = "well", self._resync
        with SECONDS.labels(key.plural).time():
            try:
                asked = self._look(key)
                if asked is not None:
                    wait = asked if asked == math.inf else min(asked, self._resync)
                self._failures.pop(key, None)
            except Exception as error:
                outcome = "again" if isinstance(error, Again) else "error"
                times = self._failures[key] = self._failures.get(key, 0) + 1
                wait = min(LONGEST_WAIT_SECONDS, 0.25 * 2 ** min(times, 10))
                if isinstance(error, Again):
                    wait = error.seconds if error.seconds is not None else wait
                    logger.warning(
                        "%s/%s: %s; again in %.1f s", key.namespace, key.name, error, wait
                    )
                else:
                    logger.exception("%s/%s could not be looked at", key.namespace, key.name)
        LOOKS.labels(key.plural, outcome).inc()
        return wait
