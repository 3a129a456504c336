"""A second replica for an answer that is late: the first to begin wins, the other is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from slipway.gateway.connection import Connection
from slipway.gateway.steps import Driver, waiting

#: Of the requests that may be asked twice, this part is; so many may be saved up.
_SHARE, _SAVED = 0.1, 10.0


class Allowance:
    """Keeps second requests from doubling the load just when all are slow."""

    def __init__(self) -> None:
        self._left = 1.0

    def earn(self) -> None:
        """A request came that may be asked twice."""
        self._left = min(self._left + _SHARE, _SAVED)

    def spend(self) -> bool:
        """Whether one may be asked twice now."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


async def late(driver: Driver, connection: Connection, *, after: float) -> bool:
    """Whether an answer has not begun `after` so many seconds."""
    over = False

    def ring() -> None:
        nonlocal over
        over = True
        driver.resume()

    timer = asyncio.get_running_loop().call_later(after, ring)
    try:
        while not (connection.has_begun or over):
            await waiting()
    finally:
        timer.cancel()
    return not connection.has_begun


async def race(
    first: Connection,
    begin_second: Callable[[], Awaitable[Connection | None]],
    give_up: Callable[[Connection], None],
) -> Connection:
    """The one of two whose answer begins first; the other was given up, as both are on an error.

    A second one that fails leaves the first alone.
    """
    second: Connection | None = None
    try:
        second = await begin_second()
        while not (first.has_begun or (second is not None and second.has_begun)):
            await waiting()
            if second is not None and second.failure is not None:
                give_up(second)
                second = None
    except BaseException:
        for connection in (first, second):
            if connection is not None:
                give_up(connection)
        raise
    if second is None or second.failure is not None or not second.has_begun:
        loser, winner = second, first
    else:
        loser, winner = first, second
    if loser is not None:
        give_up(loser)
    return winner
