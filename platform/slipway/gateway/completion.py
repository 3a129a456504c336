"""One completion on its way: let in, to the engine, and back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from slipway.gateway import asking, errors, lanes, sse
from slipway.gateway.admit import Ticket
from slipway.gateway.answering import JSON, Answering, Refused
from slipway.gateway.connection import BadFraming, Closed, Connection, TimedOut, UpstreamError
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import ASLEEP, SLEEPING, Route
from slipway.gateway.lanes import Place
from slipway.gateway.patience import NEVER
from slipway.gateway.reading import CHAT
from slipway.gateway.steps import Driver, waiting
from slipway.gateway.upstream import NoReplica

logger = logging.getLogger(__name__)

#: What a stream says while there is nothing to say: a comment, which every client skips.
_HEARTBEAT = b": waiting%b\n\n"


class _NoPlace(UpstreamError):
    """The target takes no more at present."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Completion(Answering):
    """`start()` answers the request and writes its one record, however it ends.

    `stop()` ends it from outside: the client went away, or its time is up. Where a connection to
    the engine is at hand, callbacks do it all; whatever must be waited for or tried again on the
    way there is a coroutine, `_open`.
    """

    def start(self) -> None:
        self._parts.running.add(self)
        try:
            admitted = self._admit()
            if isinstance(admitted, Refusal) or not self._ask_at_once(admitted):
                self._drive(admitted, None)
        except Exception as error:  # noqa: BLE001 - told apart there
            self._caught(error)

    def stop(self, why: Refusal) -> None:
        if self._settled:
            return
        if self._driver is not None:
            self._driver.interrupt(Refused(why))
        else:
            self._fail(why)

    def hold_to(self, live: set[str]) -> None:
        """End it unless its key is one of those, by their ids."""
        if self._ticket is not None and self._ticket.key.id not in live:
            self.stop(errors.revoked())

    def resume(self) -> None:
        """The client is no longer paused, or what was waited for may be there."""
        if self._driver is not None:
            self._driver.resume()
        elif self._relaying:
            self._relay()

    def beat(self, seconds: float) -> None:
        """Send a sign of life on a stream that has been silent for so long.

        The status is given away by that: an engine's error is an event from here on.
        """
        ticket, count, now = self._ticket, self._events.sent[0], time.perf_counter()
        if count != self._beat_count:
            self._beat_at, self._beat_count = now, count
        elif (
            ticket is not None
            and ticket.stream
            and not (self._settled or self._client.paused)
            and now - (self._beat_at or self.began) > seconds
        ):
            self._beat_at = now
            self._put(_HEARTBEAT % self._stage())

    def _stage(self) -> bytes:
        """What is waited for, where that takes long."""
        routes = self._parts.snapshots.current.routes
        route = routes.get((self._served.project_id, self._served.name))
        if route is None or route.state not in ASLEEP:
            return b""
        # An event ends with a line, whatever stands in the reason.
        return f" for {route.name}, {route.state}: {' '.join(route.reason.split())}".encode()

    def _admit(self) -> Ticket | Refusal:
        parts, asked = self._parts, self._asked
        admitted = parts.gate.admit(
            endpoint=asked.endpoint,
            authorization=asked.authorization,
            body=self._body,
            snapshot=parts.snapshots.current,
            now=time.time(),
            request_id=self.request_id,
            session=asked.session,
            ready=self.resume,
        )
        if not isinstance(admitted, Refusal):
            self._ticket, self._served = admitted, admitted.route
            if admitted.stream:
                written = b'"delta"' if admitted.endpoint == CHAT else b'"text"'
                self._events = sse.Events(keep_usage=admitted.wants_usage, written=written)
                self._kept = [] if admitted.store else None
        return admitted

    # The straight way

    def _ask_at_once(self, ticket: Ticket) -> bool:
        """Ask the one replica there is to ask, if it is our turn and a connection lies idle."""
        route = ticket.route
        if not ticket.place.called or route.rule is not None or route.name != ticket.asked:
            return False
        connection = self._parts.upstreams.at_hand(route, ticket.session)
        if connection is None:
            return False
        self._connection = connection
        connection.start(
            self._request(ticket, route),
            self._id if route.origin is None else b"",
            whole=not ticket.stream,
            wake=self._heard,
            patience=NEVER if route.origin is None else route.origin.timeout_seconds,
        )
        return True

    def _heard(self) -> None:
        """Something came on that connection."""
        connection = self._connection
        if connection is None or not connection.has_begun:
            return
        try:
            if connection.status == 200 and connection.failure is None:
                self._answer(connection)
            else:
                # Not so straight then: from here on as if it had been the first try of many.
                self._drive(self._ticket, connection)  # type: ignore[arg-type]  # it was let in
        except Exception as error:  # noqa: BLE001 - told apart there
            self._caught(error)

    # The way with turns

    def _drive(self, admitted: Ticket | Refusal, tried: Connection | None) -> None:
        self._driver = Driver(self._caught)
        self._driver.start(self._run(admitted, tried))

    async def _run(self, admitted: Ticket | Refusal, tried: Connection | None) -> None:
        try:
            ticket = admitted if isinstance(admitted, Ticket) else await self._again(admitted)
            connection = await self._open(ticket, tried)
            if connection.status != 200:
                await connection.wait_until_complete()
                raise Refused(asking.refusal(connection, connection.take(), self._served))
        finally:
            self._driver = None
        self._answer(connection)

    async def _again(self, refusal: Refusal) -> Ticket:
        """Let it in after all; raises Refused."""
        admitted: Ticket | Refusal = refusal
        if refusal.again:
            # The model may have been deployed, or gone live, a moment ago: no from an old
            # picture would contradict what the REST API says already.
            await self._wait_for(self._parts.snapshots.refresh())
            admitted = self._admit()
        if isinstance(admitted, Refusal) and admitted.lease:
            # What is left may lie with another gateway.
            await self._wait_for(self._parts.gate.ask_others())
            admitted = self._admit()
        if isinstance(admitted, Refusal):
            self._parts.watch.refuse(admitted.code)
            raise Refused(admitted)
        return admitted

    async def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        await self._driver.slowly(work)  # type: ignore[union-attr]  # it drives us

    # The two shapes of an answer

    def _answer(self, connection: Connection) -> None:
        """Give the client what has begun well, or is whole."""
        ticket: Ticket = self._ticket  # type: ignore[assignment]  # it was let in
        if not ticket.stream:
            body = connection.take()
            self._first_byte_ms = spent = (time.perf_counter() - self.began) * 1000
            usage, written = sse.read_whole(body)
            self._record(200, usage or self._guess(written), spent)
            if ticket.store:
                self._keep(ticket, body)
            self._over()
            self._client.answer(200, self._lines(JSON, spent), body)
            return
        if not connection.headers.get(b"content-type", b"").startswith(b"text/event-stream"):
            raise sse.Malformed("an answer in one piece instead of a stream")
        self._relaying = True
        connection.watch(self._relay)
        self._relay()

    def _relay(self) -> None:
        """Pass on what has come, until the engine says [DONE]."""
        connection = self._connection
        if connection is None or self._client.paused:
            return
        try:
            if data := connection.take():
                self._pass_on(connection, self._events.feed(data))
            if connection.complete or connection.failure is not None:
                self._at_the_end(connection)
        except Exception as error:  # noqa: BLE001 - told apart there
            self._caught(error)

    def _pass_on(self, connection: Connection, events: bytes) -> None:
        seen = self._events
        if seen.done:
            self._see_off(connection, events)
            return
        if events:
            if self._first_byte_ms is None:
                self._mark_first_byte()
                self._note()
                self._put(events)
            else:
                self._client.send(events)
            if self._kept is not None:
                self._kept.append(events)
        if seen.error is not None:
            raise Refused(asking.refusal_of(500, seen.error))

    def _at_the_end(self, connection: Connection) -> None:
        """Raises where a stream has ended that has not said so; later for who reads slowly."""
        if not (self._settled or self._client.paused):
            raise connection.failure or Closed("it ended without [DONE]")

    def _see_off(self, connection: Connection, last: bytes) -> None:
        """The end of a stream, and what came together with it."""
        ticket: Ticket = self._ticket  # type: ignore[assignment]  # it was let in
        # The record first: once the client has the end, the tokens are in the ledger.
        self._mark_first_byte()
        self._record(200, self._spent(), (time.perf_counter() - self.began) * 1000)
        if self._kept is not None:
            self._keep(ticket, b"".join([*self._kept, last, self._events.usage_event()]))
        self._connection = None
        self._over()
        self._end(last + sse.DONE)
        self._parts.upstreams.see_out(connection)

    # To the engine

    async def _open(self, ticket: Ticket, tried: Connection | None) -> Connection:
        """A connection whose answer has begun, of the first target that has one for us; `tried`
        has been asked already."""
        for index, target in enumerate(ticket.targets):
            last = index == len(ticket.targets) - 1
            self._served = target
            try:
                await self._turn(ticket.place, target, first=not index)
                connection = await self._ask(ticket, target, tried, hold=last)
            except UpstreamError:
                if last:
                    raise
                continue
            if last or not asking.gives_way(connection.status):
                self._parts.watch.fell_back += index > 0
                return connection
            self._release()
        raise NoReplica("nobody is there to be asked")

    async def _turn(self, place: Place, target: Route, *, first: bool) -> None:
        """Until there is a place at the target. Raises _NoPlace."""
        if not first and (full := self._parts.gate.lanes.move(place, target)):
            raise _NoPlace(full)
        if place.called:
            return
        over = False

        def ring() -> None:
            nonlocal over
            over = True
            self.resume()

        timer = asyncio.get_running_loop().call_later(lanes.LONGEST_WAIT, ring)
        try:
            while not (place.called or over):
                await waiting()
        finally:
            timer.cancel()
        if not place.called:
            raise _NoPlace(lanes.too_long(target))

    async def _ask(
        self, ticket: Ticket, target: Route, tried: Connection | None, *, hold: bool
    ) -> Connection:
        routes = self._parts.snapshots.current.routes
        asked = routes.get((target.project_id, ticket.asked))
        rule = asked.rule if asked is not None else None
        self._connection, self._served = await self._parts.upstreams.open(
            self._driver,  # type: ignore[arg-type]  # it drives us
            request=self._request(ticket, target),
            request_id=self._id,
            whole=not ticket.stream,
            find=self._find,
            refresh=self._parts.snapshots.refresh,
            hold=hold,
            session=ticket.session,
            hedge_after=rule.hedge_seconds if rule is not None else 0.0,
            tried=tried,
        )
        return self._connection

    def _request(self, ticket: Ticket, target: Route) -> bytes:
        trace = self._asked.trace if self._trace is None else self._trace.header()
        return asking.request(ticket, target, self._id, trace)

    def _find(self) -> Route:
        """The route as it is now: a held request may see its replicas, and version, replaced."""
        name = (self._served.project_id, self._served.name)
        route = self._parts.snapshots.current.routes.get(name)
        if route is None:
            raise NoReplica("its deployment was deleted")
        if route.state == SLEEPING:
            self._parts.wake(route.deployment_id)
        return route

    def _caught(self, error: BaseException) -> None:
        """End it with what an exception means."""
        if isinstance(error, Refused):
            self._fail(error.refusal)
        elif isinstance(error, sse.Malformed):
            self._fail(errors.bad_answer(f"The model's engine sent {error}."))
        elif isinstance(error, UpstreamError):
            self._fail(self._explain(error))
        else:
            logger.error("a request broke off", exc_info=error)
            self._finish(500)
            if self._started:
                self._client.abort()
            else:
                self._refuse(errors.internal())

    def _explain(self, error: UpstreamError) -> Refusal:
        if isinstance(error, _NoPlace):
            return error.refusal
        name = self._served.name
        if isinstance(error, NoReplica):
            return errors.unavailable(
                f"The model `{name}` cannot answer now: {error}. Ask again in a few seconds.",
                retry_after=5,
            )
        if isinstance(error, TimedOut):
            return errors.timed_out(f"The engine of `{name}` took too long: {error}.")
        if isinstance(error, BadFraming):
            return errors.bad_answer(f"The engine of `{name}` broke HTTP/1.1: {error}.")
        return errors.bad_answer(f"The engine of `{name}` hung up before the end: {error}.")
