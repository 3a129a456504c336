"""One completion on its way: let in, to the engine, through to the client, into the ledger."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from slipway.gateway import admit, errors, sse
from slipway.gateway.admit import Gate, Ticket, Usage
from slipway.gateway.connection import BadFraming, Closed, Connection, TimedOut, UpstreamError
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Route
from slipway.gateway.snapshot import Snapshots
from slipway.gateway.spool import Spool, SpoolFull
from slipway.gateway.steps import Driver, waiting
from slipway.gateway.upstream import NoReplica, Upstreams

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
GONE = Refusal(CLIENT_GONE, "The client went away.")
#: Statuses of an engine that mean the same to our client; any other is the engine's fault.
_PASSED_ON = frozenset({400, 413, 422, 429, 500, 503, 504})
_REQUEST = (
    b"POST %b HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nx-request-id: %b\r\n%b\r\n%b"
)
_LINES = b"x-request-id: %b\r\nopenai-version: 2020-10-01\r\nopenai-processing-ms: %d\r\n%b%b"
_JSON = b"content-type: application/json\r\n"
_EVENTS = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
)
#: What a stream says while there is nothing to say: a comment, which every client skips.
_HEARTBEAT = b": waiting\n\n"


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


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose key is known: `endpoint` is its path, `authorization` its header."""

    endpoint: str
    authorization: bytes | None
    body: bytes
    request_id: str


class _Refused(Exception):
    """The engine, or we for it, answer with a refusal."""

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
        *("_over", "_parts", "_sent_at", "_served", "_settled", "_started", "_ticket", "resume"),
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
            self._put(_HEARTBEAT)

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
            if isinstance(ticket, Refusal):
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
        )

    # The two shapes of an answer

    async def _whole(self, ticket: Ticket) -> None:
        connection = await self._open(ticket)
        body = connection.take()
        if connection.status != 200:
            raise _Refused(_engine_refusal(connection, body))
        usage = sse.usage_of(body)
        self._mark_first_byte()
        self._record(200, usage or self._guess(1))
        self._release()
        self._started = True
        self._client.answer(200, self._lines(_JSON), body)

    async def _stream(self, ticket: Ticket) -> None:
        connection = await self._open(ticket)
        if connection.status != 200:
            await connection.wait_until_complete()
            raise _Refused(_engine_refusal(connection, connection.take()))
        if not connection.headers.get(b"content-type", b"").startswith(b"text/event-stream"):
            raise sse.Malformed("an answer in one piece instead of a stream")
        last = await self._relay(connection)
        # The record first: once the client has the end, the tokens are in the ledger.
        self._mark_first_byte()
        self._record(200, self._spent())
        self._end(last + sse.DONE)
        self._parts.upstreams.see_out(connection)

    async def _relay(self, connection: Connection) -> bytes:
        """Pass events on until the engine says [DONE]; return those that came together with it."""
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
            if self._events.error is not None:
                raise _Refused(_refusal_of(500, self._events.error))
            while self._client.paused:
                await waiting()

    # To the engine

    async def _open(self, ticket: Ticket) -> Connection:
        request_id = ticket.request_id.encode()
        adapter = ticket.route.adapter
        request = _REQUEST % (
            ticket.endpoint.encode(),
            len(ticket.body),
            request_id,
            b"x-adapter: %b\r\n" % adapter.encode() if adapter else b"",
            ticket.body,
        )
        self._connection, self._served = await self._parts.upstreams.open(
            self._driver,
            request=request,
            request_id=request_id,
            whole=not ticket.stream,
            find=self._find,
            refresh=self._parts.snapshots.refresh,
        )
        return self._connection

    def _find(self) -> Route:
        """The route as it is now: a held request may see its replicas, and version, replaced."""
        ticket: Ticket = self._ticket  # type: ignore[assignment]  # it was let in
        name = (ticket.key.project_id, ticket.route.name)
        route = self._parts.snapshots.current.routes.get(name)
        if route is None:
            raise NoReplica("its deployment was deleted")
        return route

    def _release(self) -> None:
        if self._connection is not None:
            self._parts.upstreams.release(self._connection)

    def _explain(self, error: UpstreamError) -> Refusal:
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
        return _LINES % (self._asked.request_id.encode(), spent, limits, own)

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
        try:
            self._parts.spool.write(line)
        except SpoolFull as error:
            logger.error("usage of %s could not be written: %s", line.request_id, error)  # noqa: TRY400 - the cause is in the message
            # What cannot be written up is not given out as done.
            raise _Refused(_not_recorded()) from error


def _not_recorded() -> Refusal:
    return errors.unavailable(
        "The answer's usage could not be recorded, so it is not given out; the disk of the "
        "gateway may be full.",
        retry_after=30,
        code="usage_not_recorded",
    )


def _engine_refusal(connection: Connection, body: bytes) -> Refusal:
    try:
        error = msgspec.json.decode(body, type=dict[str, Any]).get("error")
    except (msgspec.DecodeError, RecursionError):
        error = None
    status = connection.status if connection.status in _PASSED_ON else 502
    wait = connection.headers.get(b"retry-after", b"")
    after = int(wait[:4]) if wait.isdigit() else 1 if status in {429, 503} else None
    if not isinstance(error, dict):
        said = body[:200].decode(errors="replace")
        error = {"message": f"The model's engine answered {connection.status}: {said}"}
    return _refusal_of(status, error, retry_after=after)


def _refusal_of(status: int, error: dict[str, Any], *, retry_after: int | None = None) -> Refusal:
    """An engine's error object with all four keys and of the types clients expect."""
    kind = error.get("type")
    if status == 500 and kind == "invalid_request_error":
        status = 400
    code, param = error.get("code"), error.get("param")
    default = "invalid_request_error" if status < 500 else "server_error"
    return Refusal(
        status,
        str(error.get("message") or "The model's engine failed without saying why.")[:2000],
        type=kind if isinstance(kind, str) else default,
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) else None,
        retry_after=retry_after,
    )
