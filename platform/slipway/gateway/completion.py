"""One completion on its way: ticket, engine, through to the client, into the ledger."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from slipway.gateway import admit, errors, sse
from slipway.gateway.admit import Gate, Ticket, Usage
from slipway.gateway.connection import BadFraming, Closed, Connection, TimedOut, UpstreamError
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Route
from slipway.gateway.snapshot import Snapshots
from slipway.gateway.spool import Spool, SpoolFull
from slipway.gateway.upstream import NoReplica, Upstreams

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

CLIENT_GONE = 499
#: Statuses of an engine that mean the same to our client; any other is the engine's fault.
_PASSED_ON = frozenset({400, 413, 422, 429, 500, 503, 504})
_REQUEST = (
    b"POST %b HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nx-request-id: %b\r\n%b\r\n%b"
)
_EVENT_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What every completion works with."""

    gate: Gate
    snapshots: Snapshots
    upstreams: Upstreams
    spool: Spool


class _Refused(Exception):
    """The engine, or we for it, answer with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Completion:
    """`run()` answers the request and writes its one record, however it ends.

    `cancel()` stops it from outside: the client went away, or its time is up.
    """

    def __init__(self, parts: Parts, ticket: Ticket, send: Send, headers: Headers) -> None:
        self._parts = parts
        self._ticket = ticket
        self._send = send
        self._headers = headers
        self._began = time.perf_counter()
        self._first_byte_ms: float | None = None
        self._served = ticket.route
        self._started = self._settled = False
        self._connection: Connection | None = None
        self._events = sse.Events(keep_usage=ticket.wants_usage)
        self._task = asyncio.current_task()
        self._stopped_by: Refusal | None = None

    def cancel(self, why: Refusal) -> None:
        if self._task is not None and self._stopped_by is None and not self._settled:
            self._stopped_by = why
            self._task.cancel()

    async def run(self) -> None:
        try:
            try:
                await (self._stream() if self._ticket.stream else self._whole())
            except _Refused as error:
                await self._fail(error.refusal)
            except sse.Malformed as error:
                await self._fail(errors.bad_answer(f"The model's engine sent {error}."))
            except UpstreamError as error:
                await self._fail(self._explain(error))
        except asyncio.CancelledError:
            if self._stopped_by is None or self._settled:
                raise
            await self._stop(self._stopped_by)
        finally:
            self._release()
            if not self._settled:
                self._record(CLIENT_GONE, self._spent())

    # The two shapes of an answer

    async def _whole(self) -> None:
        connection = await self._open(whole=True)
        body = connection.take()
        if connection.status != 200:
            raise _Refused(_engine_refusal(connection, body))
        usage = sse.usage_of(body)
        self._mark_first_byte()
        self._record(200, usage or self._guess(1))
        headers = [*self._head(), (b"content-type", b"application/json")]
        await self._answer(200, headers, body)

    async def _stream(self) -> None:
        connection = await self._open(whole=False)
        if connection.status != 200:
            await connection.wait_until_complete()
            raise _Refused(_engine_refusal(connection, connection.take()))
        if not connection.headers.get(b"content-type", b"").startswith(b"text/event-stream"):
            raise sse.Malformed("an answer in one piece instead of a stream")
        last = await self._relay(connection)
        self._mark_first_byte()
        # The record first: once the client has the end, the tokens are in the ledger.
        self._record(200, self._spent())
        await self._start()
        await self._send(
            {"type": "http.response.body", "body": last + sse.DONE, "more_body": False}
        )
        if not connection.complete:
            await self._see_out(connection)

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
                await self._pass(passed)
            if self._events.error is not None:
                raise _Refused(_refusal_of(500, self._events.error))

    async def _see_out(self, connection: Connection) -> None:
        """The engine's closing bytes come a moment after [DONE]; with them it can be used again."""
        try:
            async with asyncio.timeout(0.5):
                await connection.wait_until_complete()
        except TimeoutError:
            logger.warning("an engine of %s left its stream open", self._served.name)

    # To the engine

    async def _open(self, *, whole: bool) -> Connection:
        ticket = self._ticket
        request = _REQUEST % (
            ticket.endpoint.encode(),
            len(ticket.body),
            ticket.request_id.encode(),
            b"x-adapter: %b\r\n" % ticket.route.adapter.encode() if ticket.route.adapter else b"",
            ticket.body,
        )
        self._connection, self._served = await self._parts.upstreams.open(
            request=request,
            request_id=ticket.request_id.encode(),
            whole=whole,
            find=self._find,
            refresh=self._parts.snapshots.refresh,
        )
        return self._connection

    def _find(self) -> Route:
        """The route as it is now: a held request may see its replicas, and version, replaced."""
        name = (self._ticket.key.project_id, self._ticket.route.name)
        route = self._parts.snapshots.current.routes.get(name)
        if route is None:
            raise NoReplica("its deployment was deleted")
        return route

    def _release(self) -> None:
        if self._connection is not None:
            self._parts.upstreams.release(self._connection)

    def _explain(self, error: UpstreamError) -> Refusal:
        name = self._ticket.route.name
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

    def _head(self) -> Headers:
        spent = time.perf_counter() - self._began
        return [*self._headers, (b"openai-processing-ms", b"%d" % (spent * 1000))]

    def _mark_first_byte(self) -> None:
        if self._first_byte_ms is None:
            self._first_byte_ms = (time.perf_counter() - self._began) * 1000

    async def _start(self) -> None:
        if not self._started:
            self._started = True
            self._mark_first_byte()
            headers = [*self._head(), *_EVENT_STREAM]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _pass(self, events: bytes) -> None:
        await self._start()
        await self._send({"type": "http.response.body", "body": events, "more_body": True})

    async def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        headers.append((b"content-length", b"%d" % len(body)))
        self._started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _fail(self, refusal: Refusal) -> None:
        """Before the first byte a status, after it an event: never a silent end."""
        self._release()
        self._record(refusal.status, self._spent())
        if self._started:
            event = refusal.event()
            await self._send({"type": "http.response.body", "body": event, "more_body": False})
        else:
            headers = [*self._head(), *refusal.headers()]
            await self._answer(refusal.status, headers, refusal.body())

    async def _stop(self, why: Refusal) -> None:
        if why.status == CLIENT_GONE or self._task is None:
            self._release()
            self._record(CLIENT_GONE, self._spent())
            return
        self._task.uncancel()
        # A client that reads nothing would hold us here for ever.
        async with asyncio.timeout(1):
            await self._fail(why)

    # Into the ledger

    def _spent(self) -> Usage:
        """What an answer used that did not end well: only what the client was sent counts."""
        return self._events.usage or self._guess(self._events.count)

    def _guess(self, events: int) -> Usage:
        told = self._connection.headers.get(b"x-prompt-tokens") if self._connection else None
        known = int(told[:9]) if told is not None and told.isdigit() else None
        return admit.estimate(self._ticket, prompt_tokens=known, events=events)

    def _record(self, status: int, usage: Usage) -> None:
        if self._settled:
            return
        self._settled = True
        line = self._parts.gate.settle(
            self._ticket,
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
            if status == 200:
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
