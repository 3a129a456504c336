"""Money that gateways and training share: each gateway holds a little of it in the ledger.

What it holds counts there like what is set aside for a training job, so together they never spend
more than a budget has. A gateway gives out by itself what it holds, and holds about what it is
about to need. What its requests used leaves the lease once their records are in the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slipway.gateway.looks import Looks
from slipway.metering.rules.reserver import Purse

logger = logging.getLogger(__name__)

#: One look at the ledger in these many seconds, or sooner if a request waits.
EVERY_SECONDS = 0.25
#: Who waits for money is refused if the ledger takes longer.
PATIENCE_SECONDS = 2.0
#: What is held is claimed anew so often, or it is given to others.
RENEW_SECONDS = 30.0
#: As many times what was needed since the last look is held for what comes.
_AHEAD, _FADING = 4, 0.8

#: Organisation, project, and key or nothing: who pays.
Payer = tuple[str, str, str]
#: Who pays, what is held for it, and what is wanted.
Claim = tuple[Payer, int, int]
#: `pay(gateway, claims, files)`: how much is held for each now, and how many bytes of the usage
#: files are in the ledger, None for all. May block, may raise.
Pay = Callable[[str, Sequence[Claim], Sequence[str]], tuple[list[int], Mapping[str, int | None]]]


@dataclass(slots=True, eq=False)
class Lease(Purse):
    """What one payer has left here; `left` is all that is held for it."""

    payer: Payer = ("", "", "")
    #: Asked for in vain since the last look, and before that: who waits for it has not come back
    #: for it yet if a look fell between its request and its wait.
    short: int = 0
    short_before: int = 0
    #: Needed since the last look, and more slowly forgotten than that.
    pace: int = 0
    #: `held` and `settled` at the last look.
    mark: int = 0
    claimed_at: float = 0.0

    @property
    def used(self) -> int:
        return self.held + self.settled


class Money:
    """The leases of one gateway; `place` is the usage file and how far it is written."""

    def __init__(self, pay: Pay, place: Callable[[], tuple[str, int]]) -> None:
        self._pay, self._place = pay, place
        self._id = secrets.token_hex(8)
        self._leases: dict[Payer, Lease] = {}
        #: Costs that were written up since the last look, and before: until which place.
        self._fresh: list[tuple[Lease, int]] = []
        self._written: deque[tuple[str, int, list[tuple[Lease, int]]]] = deque()
        self._files: list[str] = []
        self._failing = False
        self._looks = Looks(self._look, every_seconds=EVERY_SECONDS)

    def lease(self, payer: Payer) -> Lease:
        found = self._leases.get(payer)
        if found is None:
            found = self._leases[payer] = Lease(("lease", payer[1]), payer=payer)
        return found

    def spent(self, lease: Lease, cost: int) -> None:
        """A request has ended; its record is written before anything else happens."""
        self._fresh.append((lease, cost))

    async def next(self) -> None:
        """Return after a look that began after this call, or could not be had in time."""
        await self._looks.next(PATIENCE_SECONDS)

    async def stop(self) -> None:
        """Keep only what the ledger does not know yet."""
        await self._looks.stop()
        with contextlib.suppress(Exception):
            leases = [lease for lease in self._leases.values() if lease.left]
            claims = [(lease.payer, lease.used, lease.used) for lease in leases]
            await asyncio.to_thread(self._pay, self._id, claims, [])

    async def _look(self, _awaited: bool) -> None:  # noqa: FBT001 - as looks has it
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            name, size = self._place()
            if name not in self._files:
                self._files.append(name)
            self._written.append((name, size, fresh))
        claims = self._claims()
        if not claims and not self._written:
            return
        asked = [(lease.payer, lease.left, amount) for lease, amount in claims]
        try:
            held, taken = await asyncio.to_thread(self._pay, self._id, asked, list(self._files))
        except Exception as error:  # noqa: BLE001 - whatever it is, what is held is all there is
            if not self._failing:
                logger.warning("no money can be had from the ledger: %s", error)
            self._failing = True
            return
        self._failing = False
        for (lease, _), amount in zip(claims, held, strict=True):
            lease.left = amount
        self._take_off(taken)

    def _claims(self) -> list[tuple[Lease, int]]:
        """What is to be held for whom, where that has changed."""
        now, claims = time.monotonic(), []
        for lease in self._leases.values():
            grown = max(0, lease.used - lease.mark)
            lease.pace = max(grown, int(lease.pace * _FADING))
            short = max(lease.short, lease.short_before)
            amount = lease.used + short + _AHEAD * lease.pace
            lease.short, lease.short_before, lease.mark = 0, lease.short, lease.used
            late = lease.left and now - lease.claimed_at > RENEW_SECONDS
            if amount > lease.left or amount < lease.left // 2 or late:
                # What is given back must not be given out meanwhile.
                lease.left = min(lease.left, amount)
                lease.claimed_at = now
                claims.append((lease, amount))
        return claims

    def _take_off(self, taken: Mapping[str, int | None]) -> None:
        """What is in the ledger is no longer to be held here."""
        while self._written:
            name, size, costs = self._written[0]
            before = self._files[: self._files.index(name)]
            in_it = taken.get(name, 0)
            if any(taken.get(one, 0) is not None for one in before) or (
                in_it is not None and in_it < size
            ):
                return
            for lease, cost in costs:
                lease.settled -= cost
                lease.mark -= cost
                lease.left -= cost
            del self._files[: len(before)]
            self._written.popleft()
