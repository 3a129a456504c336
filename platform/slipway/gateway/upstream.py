"""The way to the engines: pooled connections, the least busy replica, retries that lose nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from typing import Any
from urllib.parse import urlsplit

from slipway.gateway import hedge, plan
from slipway.gateway.connection import (
    WHOLE_READ_BYTES,
    Closed,
    Connection,
    TimedOut,
    UpstreamError,
)
from slipway.gateway.facts import ASLEEP, Route
from slipway.gateway.patience import NEVER, Timeouts, late
from slipway.gateway.steps import Driver
from slipway.gateway.watch import Watch

IDLE_PER_ENDPOINT = 256
#: A request whose engine died under it goes to another, but only so often: it may be the killer.
DEATHS = 2
_NOBODY: frozenset[str] = frozenset()
_RETRY_PAUSE = 0.05
_CLOSING_SECONDS = 0.5


class NoReplica(UpstreamError):
    """No replica took the request in the time it could be held."""


class _Stale(UpstreamError):
    """A connection was closed while it lay idle, which says nothing about the replica."""


class _Endpoint:
    """One replica: its idle connections, most lately used last, and how many are at work."""

    __slots__ = ("address", "busy", "idle")

    def __init__(self, address: str) -> None:
        self.address = address
        self.idle: deque[Connection] = deque()
        self.busy = 0

    def take(self) -> Connection | None:
        """An idle connection that is still open."""
        while self.idle:
            connection = self.idle.pop()
            if connection.open:
                return connection
        return None


class Upstreams:
    """The pool of one event loop."""

    def __init__(
        self,
        timeouts: Timeouts | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        #: Made when it is first needed: it reads the certificates of the world.
        self._make_tls = tls or ssl.create_default_context
        self._tls: ssl.SSLContext | None = None
        self._watch = watch or Watch()
        self._allowance = hedge.Allowance()
        self._loop = asyncio.get_running_loop()
        self._inbox = memoryview(bytearray(WHOLE_READ_BYTES))
        self._endpoints: dict[str, _Endpoint] = {}
        self._home: dict[Connection, _Endpoint] = {}
        self._timer = self._loop.call_later(self.timeouts.tick, self._tick)

    async def open(  # noqa: C901 - one story, told in one place
        self,
        driver: Driver,
        *,
        request: bytes,
        request_id: bytes,
        whole: bool,
        find: Callable[[], Route],
        refresh: Callable[[], Coroutine[Any, Any, None]],
        hold: bool = True,
        session: bytes = b"",
        hedge_after: float = 0.0,
        tried: Connection | None = None,
    ) -> tuple[Connection, Route]:
        """A connection whose answer has begun (`whole`: is complete), and the route it is of.

        To be awaited from what `driver` drives; give the connection back by `release`. `find`
        gives the route as it is now (or raises NoReplica), `refresh` makes "now" newer. As long
        as the client has not been sent a byte, a replica that refuses, hangs up or dies is
        replaced by another; with `hold` for up to `timeouts.hold` seconds, or `timeouts.wake` for
        what sleeps. Requests of one `session` get the same replica. After `hedge_after` seconds
        without a first byte (0: never) another replica is asked too. `tried` is a connection of
        `at_hand` on which the request has been sent. Raises UpstreamError.
        """
        if tried is not None:
            tried.watch(driver.resume)
        began = self._loop.time()
        trouble = ""
        failed: set[str] = set()
        deaths = 0
        while True:
            route = find()
            endpoint = (
                self._home[tried] if tried else self._choose(route.endpoints, failed, session)
            )
            if endpoint is None:
                waited = self._loop.time() - began
                if not hold or not route.answers or waited >= self._hold(route):
                    raise NoReplica(_why(route, trouble))
                await driver.slowly(asyncio.sleep(_RETRY_PAUSE))
                await driver.slowly(refresh())
                failed.clear()
                continue
            try:
                connection = tried or await self._start(
                    driver, endpoint, request, request_id, whole=whole, route=route
                )
                tried = None
                connection = await self._hedged(
                    driver, connection, route, request, request_id,
                    whole=whole, after=hedge_after, failed=failed | {endpoint.address},
                )  # fmt: skip
                await self._begun(connection)
            except OSError as error:
                failed.add(endpoint.address)
                trouble = str(error)
            except _Stale:
                continue
            except Closed:
                deaths += 1
                failed.add(endpoint.address)
                if deaths >= DEATHS:
                    raise
            else:
                others = set(route.endpoints) - failed - {endpoint.address}
                if connection.status != 503 or not others:
                    return connection, route
                # Full or on its way out: another may have room.
                self.release(connection)
                failed.add(endpoint.address)

    def at_hand(self, route: Route, session: bytes) -> Connection | None:
        """An idle connection to the replica to ask, which is no longer idle; if there is one."""
        endpoint = self._choose(route.endpoints, _NOBODY, session)
        if endpoint is None or (connection := endpoint.take()) is None:
            return None
        endpoint.busy += 1
        self._home[connection] = endpoint
        return connection

    async def _hedged(
        self,
        driver: Driver,
        first: Connection,
        route: Route,
        request: bytes,
        request_id: bytes,
        *,
        whole: bool,
        after: float,
        failed: set[str],
    ) -> Connection:
        """The connection, or where it is late another replica's if that answers earlier."""
        if not after:
            return first
        self._allowance.earn()
        try:
            if not await hedge.late(driver, first, after=after):
                return first
        except BaseException:
            self.release(first)
            raise
        other = self._choose(route.endpoints, failed, b"")
        if other is None or not self._allowance.spend():
            return first
        self._watch.hedged += 1

        async def second() -> Connection | None:
            try:
                return await self._start(
                    driver, other, request, request_id, whole=whole, route=route
                )
            except OSError:
                return None

        winner = await hedge.race(first, second, self.release)
        self._watch.hedges_won += winner is not first
        return winner

    async def _start(
        self,
        driver: Driver,
        endpoint: _Endpoint,
        request: bytes,
        request_id: bytes,
        *,
        whole: bool,
        route: Route,
    ) -> Connection:
        endpoint.busy += 1
        try:
            while (connection := endpoint.take()) is None:
                await driver.slowly(self._connect(endpoint))
        except BaseException:
            endpoint.busy -= 1
            raise
        self._home[connection] = endpoint
        try:
            origin = route.origin
            connection.start(
                request,
                request_id=request_id if origin is None else b"",
                whole=whole,
                wake=driver.resume,
                patience=origin.timeout_seconds if origin is not None else NEVER,
            )
        except BaseException:
            self.release(connection)
            raise
        return connection

    async def _begun(self, connection: Connection) -> None:
        try:
            await connection.begun()
        except Closed as error:
            self.release(connection)
            if connection.reused and not connection.answered:
                raise _Stale(str(error)) from error
            raise
        except BaseException:
            self.release(connection)
            raise

    def _hold(self, route: Route) -> float:
        if route.state in ASLEEP:
            return self.timeouts.wake
        # Nobody brings back a server that is not ours.
        return self.timeouts.hold if route.origin is None else 0.0

    def _choose(
        self, addresses: tuple[str, ...], failed: Collection[str], session: bytes
    ) -> _Endpoint | None:
        """The session's replica, or the least busy one, of those that have not failed."""
        if session and len(addresses) > 1:
            left = [address for address in addresses if address not in failed]
            chosen = plan.replica(left, session)
            addresses = () if chosen is None else (chosen,)
        best: _Endpoint | None = None
        for address in addresses:
            if address in failed:
                continue
            endpoint = self._endpoints.get(address)
            if endpoint is None:
                endpoint = self._endpoints[address] = _Endpoint(address)
            if best is None or endpoint.busy < best.busy:
                best = endpoint
        return best

    async def _connect(self, endpoint: _Endpoint) -> None:
        """One more idle connection: in the pool at once, for who asked may be gone by now."""

        def make() -> Connection:
            return Connection(self._inbox, self._loop.time)

        address = endpoint.address
        try:
            async with asyncio.timeout(self.timeouts.connect):
                if address.startswith("unix:"):
                    _, made = await self._loop.create_unix_connection(make, address[5:])
                elif address.startswith("https:"):
                    # The address was judged; its certificate is for the name behind the `#`.
                    parts = urlsplit(address)
                    _, made = await self._loop.create_connection(
                        make, parts.hostname or "", parts.port or 443, ssl=self._context(),
                        server_hostname=parts.fragment,
                    )  # fmt: skip
                else:
                    parts = urlsplit(address)
                    host, port = parts.hostname or "", parts.port or 80
                    _, made = await self._loop.create_connection(make, host, port)
        except TimeoutError as error:
            raise ConnectionRefusedError(f"{address} did not accept in time") from error
        endpoint.idle.append(made)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self._make_tls()
        return self._tls

    def release(self, connection: Connection) -> None:
        """Done with it: kept if its answer was whole and well-framed, else closed.

        Closing is how an engine learns that nobody wants the rest. May be called twice.
        """
        endpoint = self._home.pop(connection, None)
        if endpoint is None:
            return
        endpoint.busy -= 1
        connection.end()
        if (
            connection.complete
            and connection.reusable
            and connection.open
            and len(endpoint.idle) < IDLE_PER_ENDPOINT
        ):
            endpoint.idle.append(connection)
        else:
            connection.close()

    def see_out(self, connection: Connection) -> None:
        """Release a stream that has said [DONE]: its closing bytes come a moment later."""
        connection.last_by = self._loop.time() + _CLOSING_SECONDS
        connection.watch(lambda: self._seen_out(connection))
        self._seen_out(connection)

    def _seen_out(self, connection: Connection) -> None:
        if connection.complete or connection.failure:
            self.release(connection)

    def _tick(self) -> None:
        now = self._loop.time()
        for connection in list(self._home):
            if why := late(connection, self.timeouts, now):
                connection.fail(TimedOut(why))
        for address, endpoint in list(self._endpoints.items()):
            while endpoint.idle and (
                not endpoint.idle[0].open or endpoint.idle[0].heard_at + self.timeouts.keep < now
            ):
                endpoint.idle.popleft().close()
            if not endpoint.busy and not endpoint.idle:
                del self._endpoints[address]
        self._timer = self._loop.call_later(self.timeouts.tick, self._tick)

    async def close(self) -> None:
        self._timer.cancel()
        for endpoint in self._endpoints.values():
            for connection in endpoint.idle:
                connection.close()
        for connection in list(self._home):
            connection.fail(Closed("the gateway is stopping"))
        # Transports close in the loop's next turn.
        await asyncio.sleep(0)


def _why(route: Route, trouble: str) -> str:
    if route.origin is not None and trouble:
        return f"{route.origin.netloc} cannot be reached: {trouble}"
    if route.reason:
        return route.reason
    if not route.endpoints:
        return f"no replica is ready (it is {route.state})"
    return f"no replica answers (it is {route.state})"
