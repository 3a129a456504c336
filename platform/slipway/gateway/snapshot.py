"""A picture of keys and routes, taken anew in a thread; without a database the last one stays."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from slipway.gateway.facts import Snapshot
from slipway.gateway.money import Claim
from slipway.limits.rules import Ask, Exchanged

logger = logging.getLogger(__name__)

#: Two looks are at least this far apart, in seconds, however many ask for one.
_LEAST_GAP = 0.05
#: Looking may take this part of one core's time, as long as a revoked key is still seen in time.
_SHARE = 0.2
_MOST_GAP = 2.0


class Snapshots:
    """`current` is replaced whole, never changed; `load` makes a new one and may block or raise."""

    def __init__(self, load: Callable[[], Snapshot], *, every_seconds: float = 0.5) -> None:
        self.current = Snapshot()
        #: When it was last seen that this is how things are, in monotonic seconds.
        self.seen_at = time.monotonic()
        self._load = load
        self._every = every_seconds
        self._asked = threading.Event()
        self._stopping = False
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    async def refresh(self, *, timeout_seconds: float = 1.0) -> None:
        """Return once a look that began after this call has ended, or could not be had in time."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            self._waiting.append((loop, future))
        self._asked.set()
        await asyncio.wait([future], timeout=timeout_seconds)
        future.cancel()

    def _run(self) -> None:
        while not self._stopping:
            self._asked.clear()
            with self._lock:
                waiting, self._waiting = self._waiting, []
            began = time.monotonic()
            self._look()
            for loop, future in waiting:
                # A loop that is gone has nobody waiting.
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle, future)
            spent = time.monotonic() - began
            gap = min(max(_LEAST_GAP, spent / _SHARE), _MOST_GAP)
            time.sleep(gap)
            self._asked.wait(max(0.0, self._every - gap))

    def _look(self) -> None:
        began = time.monotonic()
        try:
            self.current = self._load()
            self.seen_at = began
        except Exception as error:  # noqa: BLE001 - whatever it is, yesterday's picture serves better than none
            if not self._failing:
                logger.warning("keys and routes cannot be read, serving the last ones: %s", error)
            self._failing = True
        else:
            if self._failing:
                logger.warning("keys and routes can be read again")
            self._failing = False


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def exchange(gateway: str, asks: Sequence[Ask], now: float) -> Exchanged:
    """Lease from the limits that all gateways share, in the database."""
    from django.db import close_old_connections

    from slipway.limits import services as limits

    close_old_connections()
    return limits.exchange(gateway, asks, now)


def pay(
    gateway: str, claims: Sequence[Claim], files: Sequence[str], directory: Path | None = None
) -> tuple[list[int], dict[str, int | None]]:
    """Hold money in the ledger for what will be asked; see `money.Pay`. `directory` is where the
    usage files are, if not where the settings say."""
    from django.db import close_old_connections
    from django.utils import timezone

    from slipway.metering import services as metering

    close_old_connections()
    now = timezone.now()
    # First: what it says was used is then in what the budgets have spent.
    taken = metering.taken_in(names=files, directory=directory)
    if claims:
        metering.forget_gone_gateways(now=now)
    held = [
        metering.lease(
            gateway=gateway, now=now,
            claim=metering.Claim(
                organisation_id=organisation, project_id=project, key_id=key, has=has, wants=wants
            ),
        )
        for (organisation, project, key), has, wants in claims
    ]  # fmt: skip
    return held, taken
