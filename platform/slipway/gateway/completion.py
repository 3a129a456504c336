"""One completion on its way: let in, to the engine, through to the client, into the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from slipway.gateway import admit, asking, errors, lanes, spans, sse
from slipway.gateway.admit import Gate, Ticket, Usage
from slipway.gateway.connection import BadFraming, Closed, Connection, TimedOut, UpstreamError
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import ASLEEP, SLEEPING, Route
from slipway.gateway.lanes import Place
from slipway.gateway.snapshot import Snapshots
from slipway.gateway.spool import Spool, SpoolFull
from slipway.gateway.steps import Driver, waiting
from slipway.gateway.upstream import NoReplica, Upstreams
from slipway.gateway.watch import Watch
from slipway_contracts.kept import CompletionLine

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
GONE = Refusal(CLIENT_GONE, "The client went away.")
_LINES = b"x-request-id: %b\r\nopenai-version: 2020-10-01\r\nopenai-processing-ms: %d\r\n%b%b%b"
_JSON = b"content-type: application/json\r\n"
_EVENTS = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
)
#: What a stream says while there is nothing to say: a comment, which every client skips.
_HEARTBEAT = b": waiting%b\n\n"


class Client(Protocol):
    """Who gets the answer: one `answer`, or `begin`, any number of `send` and one `end`.

    `lines` are those of the head that are ours; framing is the client's business. While it is
    `paused` it takes what it is given, but should be given no more; after that it calls `resume`.
    """

    paused: bool

    def answer(self, status: int, lines: bytes, body: bytes) -> None: ...
    def begin(self, lines: bytes, data: bytes) -> None: ...
    def send(self, data: bytes) -> None: ...
    def end(self, data: bytes) -> None: ...
    def abort(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What every completion works with."""

    gate: Gate
    snapshots: Snapshots
    upstreams: Upstreams
    spool: Spool
    watch: Watch
    #: Tells the platform that a deployment which sleeps is asked for; may be called often.
    wake: Callable[[str], None]
    #: Takes completions that are to be kept.
    kept: Spool
    #: None where nobody collects traces.
    spans: spans.Spans | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose key is known: `endpoint` is its path, `authorization` its header."""

    endpoint: str
    authorization: bytes | None
    body: bytes
    request_id: str
    #: Header `x-session-id`: such requests should meet the same replica.
    session: bytes = b""
    #: Header `traceparent`.
    trace: bytes = b""


class _Refused(Exception):
    """The engine, or we for it, answer with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _NoPlace(UpstreamError):
    """The target takes no more at present."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Completion:
    """`start()` answers the request and writes its one record, however it ends.

    `stop()` ends it from outside: the client went away, or its time is up. `over` is called when
    nothing more will come of it.
    """

    __slots__ = (
        *("_asked", "_began", "_client", "_connection", "_driver", "_events", "_first_byte_ms"),
        *("_over", "_parts", "_sent_at", "_served", "_settled", "_started", "_ticket", "_trace"),
        "resume",
    )

    def __init__(
        self, parts: Parts, client: Client, asked: Asked, over: Callable[[Completion], None]
    ) -> None:
        self._parts = parts
        self._client = client
        self._asked = asked
        self._over = over
        self._driver = Driver(self._break)
        #: To be called when the client is no longer paused.
        self.resume = self._driver.resume
        self._began = self._sent_at = time.perf_counter()
        self._trace: spans.Trace | None = None
        if parts.spans is not None:
            self._trace = spans.begin(asked.trace)
        self._first_byte_ms: float | None = None
        self._ticket: Ticket | None = None
        self._served: Route
        self._events: sse.Events
        self._started = self._settled = False
        self._connection: Connection | None = None

    def start(self) -> None:
        self._driver.start(self._run())

    def stop(self, why: Refusal) -> None:
        if not self._settled:
            self._driver.interrupt(_Refused(why))

    def beat(self, seconds: float) -> None:
        """Send a sign of life on a stream that has been silent for so long.

        The status is given away by that: an engine's error is an event from here on.
        """
        if (
            self._ticket is not None
            and self._ticket.stream
            and not self._settled
            and not self._client.paused
            and time.perf_counter() - self._sent_at > seconds
        ):
            self._put(_HEARTBEAT % self._stage())

    def _stage(self) -> bytes:
        """What is waited for, where that takes long."""
        routes = self._parts.snapshots.current.routes
        route = routes.get((self._served.project_id, self._served.name))
        if route is None or route.state not in ASLEEP:
            return b""
        # An event ends with a line, whatever stands in the reason.
        return f" for {route.name}, {route.state}: {' '.join(route.reason.split())}".encode()

    def _break(self, _: BaseException) -> None:
        """Our own fault; it was logged."""
        self._finish(500)
        self._over(self)
        if self._started:
            self._client.abort()
        else:
            self._refuse(errors.internal())

    async def _run(self) -> None:
        try:
            ticket = self._admit()
            if isinstance(ticket, Refusal) and ticket.again:
                # The model may have been deployed, or gone live, a moment ago: no from an old
                # picture would contradict what the REST API says already.
                await self._driver.slowly(self._parts.snapshots.refresh())
                ticket = self._admit()
            if isinstance(ticket, Refusal) and ticket.lease and self._parts.gate.leases:
                # What is left may lie with another gateway.
                await self._driver.slowly(self._parts.gate.leases.next())
                ticket = self._admit()
            if isinstance(ticket, Refusal):
                self._parts.watch.refuse(ticket.code)
                self._refuse(ticket)
                return
            self._ticket, self._served = ticket, ticket.route
            self._events = sse.Events(keep_usage=ticket.wants_usage)
            await (self._stream(ticket) if ticket.stream else self._whole(ticket))
        except _Refused as error:
            self._fail(error.refusal)
        except sse.Malformed as error:
            self._fail(errors.bad_answer(f"The model's engine sent {error}."))
        except UpstreamError as error:
            self._fail(self._explain(error))
        self._release()
        self._over(self)

    def _admit(self) -> Ticket | Refusal:
        return self._parts.gate.admit(
            endpoint=self._asked.endpoint,
            authorization=self._asked.authorization,
            body=self._asked.body,
            snapshot=self._parts.snapshots.current,
            now=time.time(),
            request_id=self._asked.request_id,
            session=self._asked.session,
            ready=self.resume,
        )

    # The two shapes of an answer

    async def _whole(self, ticket: Ticket) -> None:
        connection = await self._open(ticket)
        body = connection.take()
        if connection.status != 200:
            raise _Refused(asking.refusal(connection, body, self._served))
        usage = sse.usage_of(body)
        self._mark_first_byte()
        self._record(200, usage or self._guess(1))
        if ticket.store:
            self._keep(ticket, body)
        self._release()
        self._started = True
        self._client.answer(200, self._lines(_JSON), body)

    async def _stream(self, ticket: Ticket) -> None:
        connection = await self._open(ticket)
        if connection.status != 200:
            await connection.wait_until_complete()
            raise _Refused(asking.refusal(connection, connection.take(), self._served))
        if not connection.headers.get(b"content-type", b"").startswith(b"text/event-stream"):
            raise sse.Malformed("an answer in one piece instead of a stream")
        passed: list[bytes] = []
        last = await self._relay(connection, passed if ticket.store else None)
        # The record first: once the client has the end, the tokens are in the ledger.
        self._mark_first_byte()
        self._record(200, self._spent())
        if ticket.store:
            self._keep(ticket, b"".join([*passed, last, self._events.usage_event()]))
        self._end(last + sse.DONE)
        self._parts.upstreams.see_out(connection)

    async def _relay(self, connection: Connection, copy: list[bytes] | None) -> bytes:
        """Pass events on until the engine says [DONE]; return those that came together with it.

        `copy` gets what is passed on.
        """
        while True:
            await connection.wait()
            data = connection.take()
            if not data:
                raise connection.failure or Closed("it ended without [DONE]")
            passed = self._events.feed(data)
            if self._events.done:
                return passed
            if passed:
                self._mark_first_byte()
                self._put(passed)
                if copy is not None:
                    copy.append(passed)
            if self._events.error is not None:
                raise _Refused(asking.refusal_of(500, self._events.error))
            while self._client.paused:
                await waiting()

    # To the engine

    async def _open(self, ticket: Ticket) -> Connection:
        """A connection whose answer has begun, of the first target that has one for us."""
        for index, target in enumerate(ticket.targets):
            last = index == len(ticket.targets) - 1
            self._served = target
            try:
                await self._turn(ticket.place, target, first=not index)
                connection = await self._ask(ticket, target, hold=last)
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

    async def _ask(self, ticket: Ticket, target: Route, *, hold: bool) -> Connection:
        routes = self._parts.snapshots.current.routes
        asked = routes.get((target.project_id, ticket.asked))
        rule = asked.rule if asked is not None else None
        self._connection, self._served = await self._parts.upstreams.open(
            self._driver,
            request=asking.request(
                ticket, target, self._trace.header() if self._trace else self._asked.trace
            ),
            request_id=ticket.request_id.encode(),
            whole=not ticket.stream,
            find=self._find,
            refresh=self._parts.snapshots.refresh,
            hold=hold,
            session=ticket.session,
            hedge_after=rule.hedge_seconds if rule is not None else 0.0,
        )
        return self._connection

    def _find(self) -> Route:
        """The route as it is now: a held request may see its replicas, and version, replaced."""
        name = (self._served.project_id, self._served.name)
        route = self._parts.snapshots.current.routes.get(name)
        if route is None:
            raise NoReplica("its deployment was deleted")
        if route.state == SLEEPING:
            self._parts.wake(route.deployment_id)
        return route

    def _release(self) -> None:
        if self._connection is not None:
            self._parts.upstreams.release(self._connection)

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

    # To the client

    def _lines(self, own: bytes) -> bytes:
        spent = (time.perf_counter() - self._began) * 1000
        limits = self._ticket.hold.lines if self._ticket is not None else b""
        who = b""
        if self._ticket is not None and self._served.name != self._ticket.asked:
            who = b"x-slipway-model: %b\r\n" % self._served.name.encode()
        return _LINES % (self._asked.request_id.encode(), spent, limits, who, own)

    def _mark_first_byte(self) -> None:
        if self._first_byte_ms is None:
            self._first_byte_ms = (time.perf_counter() - self._began) * 1000

    def _put(self, events: bytes) -> None:
        self._sent_at = time.perf_counter()
        if self._started:
            self._client.send(events)
        else:
            self._started = True
            self._client.begin(self._lines(_EVENTS), events)

    def _end(self, events: bytes) -> None:
        if not self._started:
            self._started = True
            self._client.begin(self._lines(_EVENTS), b"")
        self._client.end(events)

    def _refuse(self, refusal: Refusal) -> None:
        self._started = True
        self._client.answer(refusal.status, self._lines(refusal.lines()), refusal.body())

    def _fail(self, refusal: Refusal) -> None:
        """Before the first byte a status, after it an event: never a silent end."""
        self._release()
        self._finish(refusal.status)
        if refusal.status == CLIENT_GONE:
            return
        if not self._started:
            self._refuse(refusal)
        elif self._client.paused:
            # It does not read; what we say now would wait for it for ever.
            self._client.abort()
        else:
            self._client.end(refusal.event())

    # Into the ledger

    def _finish(self, status: int) -> None:
        """Write up what did not end well; that a disk is full changes nothing then."""
        self._release()
        if self._ticket is None or self._settled:
            return
        with contextlib.suppress(_Refused):
            self._record(status, self._spent())

    def _spent(self) -> Usage:
        """What an answer used that did not end well: only what the client was sent counts."""
        return self._events.usage or self._guess(self._events.count)

    def _guess(self, events: int) -> Usage:
        told = self._connection.headers.get(b"x-prompt-tokens") if self._connection else None
        known = int(told[:9]) if told is not None and told.isdigit() else None
        return admit.estimate(self._ticket, prompt_tokens=known, events=events)  # type: ignore[arg-type]  # it was let in

    def _record(self, status: int, usage: Usage) -> None:
        """Settle and write up; raises _Refused if it cannot be written."""
        self._settled = True
        line = self._parts.gate.settle(
            self._ticket,  # type: ignore[arg-type]  # it was let in
            served=self._served,
            status=status,
            usage=usage,
            latency_ms=(time.perf_counter() - self._began) * 1000,
            first_byte_ms=self._first_byte_ms,
        )
        self._parts.watch.settled(line)
        if self._parts.spans is not None and self._trace is not None and self._ticket is not None:
            self._parts.spans.settled(self._trace, line, asked=self._ticket.asked)
        try:
            self._parts.spool.write(line)
        except SpoolFull as error:
            logger.error("usage of %s could not be written: %s", line.request_id, error)  # noqa: TRY400 - the cause is in the message
            # What cannot be written up is not given out as done.
            raise _Refused(_not_recorded()) from error

    def _keep(self, ticket: Ticket, answer: bytes) -> None:
        """Spool what was asked and answered; that a disk is full costs the copy, not the answer."""
        line = CompletionLine(
            request_id=ticket.request_id,
            at=ticket.at,
            project_id=ticket.key.project_id,
            request=self._asked.body.decode(),
            answer=answer.decode(errors="replace"),
        )
        try:
            self._parts.kept.write(line)
        except SpoolFull as error:
            logger.error("the completion %s was not kept: %s", ticket.request_id, error)  # noqa: TRY400 - the cause is in the message


def _not_recorded() -> Refusal:
    return errors.unavailable(
        "The answer's usage could not be recorded, so it is not given out; the disk of the "
        "gateway may be full.",
        retry_after=30,
        code="usage_not_recorded",
    )
