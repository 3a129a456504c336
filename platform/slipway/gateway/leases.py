"""Limits that several gateways share: each takes ahead from common pots what it is about to need.

A pot is a token bucket, or a number of slots, in a store that all see. What a gateway has leased it
gives out by itself, without asking anyone; so all together never give out more than the pot had.
Ten times a second, and as soon as a request lacks something, it gives back what it has too much of
and leases what it will need until the next time. Alone, it leases half of all there is.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence

from slipway.gateway.looks import Looks
from slipway.gateway.rates import Bucket, Rates
from slipway.limits.rules import Ask, Exchanged

logger = logging.getLogger(__name__)

#: One exchange with the store in these many seconds, or sooner if a request waits.
EVERY_SECONDS = 0.1
#: A gateway that holds anything is heard so often, or its slots are given to others.
RENEW_SECONDS = 1.0
#: What nobody asked for in so long is given back.
IDLE_SECONDS = 10.0

#: A store that takes longer is as good as away.
PATIENCE_SECONDS = 1.0

#: `exchange(gateway, asks, now)` in one transaction; may block, may raise.
Exchange = Callable[[str, Sequence[Ask], float], Exchanged]


class Leases:
    """Keeps the buckets of one gateway's `rates` supplied."""

    def __init__(self, rates: Rates, exchange: Exchange) -> None:
        self._rates = rates
        self._exchange = exchange
        self._id = secrets.token_hex(8)
        self._said_at = self._supplied_at = 0.0
        self._others = 0
        self._failing = False
        #: The exchange that is under way, what came of the last, and why not.
        self._hanging: asyncio.Future[Exchanged] | None = None
        self._exchanged: Exchanged | None = None
        self._why = "the database does not answer"
        self._looks = Looks(self._look, every_seconds=EVERY_SECONDS)

    async def next(self) -> None:
        """Return after an exchange that began after this call."""
        await self._looks.next()

    async def stop(self) -> None:
        """Give all back."""
        await self._looks.stop()
        asks = []
        for bucket in self._rates.buckets():
            give, bucket.level = max(0.0, bucket.level), min(0.0, bucket.level)
            asks.append(_ask(bucket, give=give))
        if asks:
            await self._try(asks)

    async def _look(self, awaited: bool) -> None:  # noqa: FBT001 - as looks has it
        asks = self._asks()
        holds = any(bucket.held > 0 for bucket in self._rates.buckets())
        late = time.monotonic() - self._said_at > RENEW_SECONDS
        if awaited or any(ask.give or ask.want for ask in asks) or (holds and late):
            self._said_at = time.monotonic()
            self._take_in(asks, await self._try(asks))

    def _asks(self) -> list[Ask]:
        now, asks = time.monotonic(), []
        for bucket in self._rates.buckets():
            give, want = self._wish(bucket, now)
            bucket.level -= give
            bucket.held -= max(0.0, give)
            bucket.short, bucket.mark = 0.0, bucket.level
            asks.append(_ask(bucket, give=give, want=want))
        return asks

    def _wish(self, bucket: Bucket, now: float) -> tuple[float, float]:
        """What to give back, and what to want."""
        level = bucket.level
        used = max(0.0, bucket.mark - level)
        need = bucket.short + (2 * used if bucket.rate else 0.0)
        if used or need:
            bucket.busy_at = now
        if level < 0:
            # More was used than was set aside; the pot pays for it.
            return level, need
        if now - bucket.busy_at > IDLE_SECONDS:
            if bucket.rate:
                bucket.held = level
            return level, 0.0
        if self._others:
            spare = level - need
            # Half at a time: what is not needed now may be in a moment.
            give = spare if spare < 2 else float(math.ceil(spare / 2))
            return max(0.0, give), max(0.0, -spare)
        # Nobody else is there, but somebody may come: half is enough, and seldom asked for.
        half = float(math.ceil(bucket.size / 2))
        if bucket.rate:
            return 0.0, max(need, half) - level if level < max(need, half / 2) else 0.0
        return 0.0, max(need - level, half - bucket.held, 0.0)

    async def _try(self, asks: Sequence[Ask]) -> Exchanged | None:
        """None where the store is away, or does not answer in time."""
        if self._hanging is None:
            work = asyncio.to_thread(self._exchange, self._id, asks, time.time())
            self._hanging = asyncio.ensure_future(work)
            self._hanging.add_done_callback(self._ended)
            await asyncio.wait([self._hanging], timeout=PATIENCE_SECONDS)
            if self._hanging is None and self._exchanged is not None:
                self._failing = False
                return self._exchanged
        if not self._failing:
            logger.warning("limits cannot be shared, each gateway keeps its part: %s", self._why)
        self._failing = True
        return None

    def _ended(self, work: asyncio.Future[Exchanged]) -> None:
        self._hanging = None
        error = None if work.cancelled() else work.exception()
        self._exchanged = None if work.cancelled() or error else work.result()
        self._why = repr(error) if error else "the database does not answer"

    def _take_in(self, asks: Sequence[Ask], exchanged: Exchanged | None) -> None:
        granted: Mapping[str, tuple[float, float]] = exchanged.pots if exchanged else {}
        if exchanged is not None:
            self._others = exchanged.others
        now = time.monotonic()
        since, self._supplied_at = now - self._supplied_at, now
        given = {ask.pot: ask.give for ask in asks}
        for bucket in self._rates.buckets():
            if bucket.name in granted:
                grant, bucket.elsewhere = granted[bucket.name]
                bucket.level += grant
                bucket.held += grant
            elif exchanged is None and bucket.name in given:
                # Nobody to ask: an even part of the places, and of what comes back, is ours.
                bucket.held += given[bucket.name]
                share = bucket.rate * min(since, RENEW_SECONDS) / (1 + self._others)
                if not bucket.rate:
                    share = max(0.0, max(1, bucket.size // (1 + self._others)) - bucket.held)
                    bucket.held += share
                bucket.give_back(given[bucket.name] + share)
            bucket.mark = bucket.level


def _ask(bucket: Bucket, *, give: float = 0.0, want: float = 0.0) -> Ask:
    has = bucket.level if bucket.rate else 0.0
    return Ask(pot=bucket.name, size=bucket.size, rate=bucket.rate, give=give, want=want, has=has)
