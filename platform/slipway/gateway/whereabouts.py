"""Addresses of external models: looked up beside the picture, judged, and pinned."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from typing import Any

from slipway.core.addresses import NoAddress, NotAllowed

logger = logging.getLogger(__name__)

#: Addresses are looked up anew after so many seconds.
_EVERY = 30.0
#: A name server that is away does not take an address from us for so long.
_GRACE = 600.0

Found = tuple[tuple[str, ...], str]


class Whereabouts:
    """Looks names up in a thread: a slow name server must not keep a revoked key alive.

    `number` goes up whenever an answer changes.
    """

    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()
        self._found: dict[Any, Found] = {}
        #: When a place was last looked up, and when last with success.
        self._looked: dict[Any, float] = {}
        self._good: dict[Any, float] = {}
        self._thread: threading.Thread | None = None

    def of(self, place: Any) -> Found:
        """Addresses of a `traffic` Place that may be connected to, and why there are none."""
        with self._lock:
            found = self._found.get(place)
            if found is None:
                found = self._found[place] = ((), f"{place.host} is being looked up")
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="whereabouts", daemon=True
                    )
                    self._thread.start()
        return found

    def keep(self, places: Collection[Any]) -> None:
        """Forget all others."""
        with self._lock:
            for known in (self._found, self._looked, self._good):
                for place in known.keys() - places:
                    del known[place]

    def _run(self) -> None:
        while True:
            now = time.monotonic()
            with self._lock:
                due = [p for p in self._found if self._looked.get(p, -_EVERY) + _EVERY <= now]
            for place in due:
                found, away = _look_up(place)
                self._note(place, found, away=away)
            time.sleep(0.1)

    def _note(self, place: Any, found: Found, *, away: bool) -> None:
        now = time.monotonic()
        with self._lock:
            if place not in self._found:
                return
            self._looked[place] = now
            if found[0]:
                self._good[place] = now
            elif away and self._good.get(place, -_GRACE) + _GRACE > now:
                return
            if found != self._found[place]:
                self._found[place] = found
                self.number += 1


def _look_up(place: Any) -> tuple[Found, bool]:
    """What was found, and whether it is but the name server that is away."""
    from slipway.traffic import services as traffic

    try:
        return (tuple(sorted(traffic.resolve(place))), ""), False
    except NotAllowed as error:
        return ((), str(error)), isinstance(error, NoAddress)
    except Exception as error:  # noqa: BLE001 - one odd name must not stop the others
        logger.warning("%s cannot be looked up: %s", place.host, error)
        return ((), f"{place.host} cannot be looked up: {error}"), True
