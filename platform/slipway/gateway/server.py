"""The protocol of the web process: completions straight from the socket, all else by uvicorn.

A request for a completion with a key that is known needs no ASGI scope, task or future. Whatever
is unusual about one (a new key, a chunked body, `Expect`, too many headers) takes the way of all
others, through uvicorn's own cycle and `Gateway.__call__`, on the same connection and in turn.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from slipway.gateway import errors
from slipway.gateway.core import Core
from slipway.gateway.errors import HEADER_BYTES, HEADER_COUNT, Refusal, Unreadable
from slipway.gateway.heads import Asked, Heads
from slipway.gateway.hot import CLOSE, WHOLE, Hot
from slipway.gateway.reading import ENDPOINTS

logger = logging.getLogger(__name__)

#: Requests that may wait on a connection for their turn.
PIPELINED = 32
#: Bytes that may wait to be sent before an engine is held back.
WRITE_BYTES = 16 * 1024
#: Seconds for a head, and for a body after it.
SLOW_SECONDS = 15.0
#: A connection that is to be closed is still read for so long, or its last answer may be lost.
LINGER_SECONDS = 2.0
_HOT = {endpoint.encode(): endpoint for endpoint in ENDPOINTS}


Cycle = Hot | RequestResponseCycle


class HotProtocol(HttpToolsProtocol):
    """A client's connection. A subclass names the core: `uvicorn --http module:Subclass`."""

    core: ClassVar[Core]
    _head_of: ClassVar[tuple[Any, bytes]] = (None, b"")
    _heads: ClassVar[Heads[Asked]] = Heads(b"POST ")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn's parser was told to be lenient; ours never is.
        self.parser = httptools.HttpRequestParser(self)
        #: The cycle whose answer is being given.
        self._current: Cycle | None = None
        self._deaf = False
        #: The parser is in a message, or in its head.
        self._in_message = self._in_head = False
        #: Bytes to come of a body whose head needed no parsing.
        self._left = 0
        #: The last read, if it began with a head.
        self._fresh = b""
        #: Bytes of the last read, and of those before it that held nothing but a head.
        self._read_bytes = self._head_bytes = 0
        self._since = time.monotonic()

    @classmethod
    def _render(cls, headers: list[tuple[bytes, bytes]]) -> bytes:
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        HotProtocol._head_of = (headers, lines)
        return lines

    def dated(self) -> bytes:
        """uvicorn's own header lines: a new list every second, so it is rendered as often."""
        headers, lines = self._head_of
        if headers is not self.server_state.default_headers:
            return self._render(self.server_state.default_headers)
        return lines

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BYTES)
        self.core.watched.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.core.watched.discard(self)
        if isinstance(self._current, Hot):
            self._current.gone()
        elif self._current is not None and self._current is not self.cycle:
            # uvicorn tells the last one only.
            self._current.disconnected = True
            self._current.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._left:
            self._take(data)
            return
        cycle = self.cycle
        if self._in_message or not (cycle is None or cycle.response_complete):
            self._parse(data)
            return
        found = self._heads.find(data)
        if found is None or not self._straight(data, *found):
            self._fresh = data
            self._parse(data)
            self._fresh = b""

    def _straight(self, data: bytes, asked: Asked, start: int, length: int) -> bool:
        """Begin a request whose head is known; or not, if its key must be looked at."""
        core = self.core
        key = core.snapshots.current.seen.get(asked.authorization)  # type: ignore[arg-type]  # no key has none
        if key is None or key.networks or length > core.gate.limits.body_bytes:
            return False
        hot: Any = Hot(self, asked, asked.keep_alive)
        self._current = self.cycle = hot
        body = data[start:]
        if len(body) == length:
            hot.begin_with(body)
        else:
            hot.turn()
            self._since = time.monotonic()
            self._left = length
            self._take(body)
        return True

    def _take(self, data: bytes) -> None:
        """More of a body, and perhaps what comes after it."""
        hot: Any = self.cycle
        body = data[: self._left]
        hot.pieces.append(body)
        self._left -= len(body)
        if not self._left:
            hot.whole()
            if len(data) > len(body):
                self._parse(data[len(body) :])

    def _parse(self, data: bytes) -> None:
        self._read_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._refuse(_cause(error))
        except httptools.HttpParserUpgrade:
            # We answer in HTTP/1.1 what was asked, and read nothing of what comes after.
            self._deaf = True
            if self.cycle is not None:
                self.cycle.keep_alive = False
        else:
            if self._in_head:
                self._head_bytes += len(data)
                # Of a head without end; one that ends says itself how long it was.
                if self._head_bytes > 4 * HEADER_BYTES:
                    self._refuse(errors.endless_head(HEADER_BYTES))

    def eof_received(self) -> None:
        pass

    def pause_writing(self) -> None:
        super().pause_writing()
        if isinstance(self._current, Hot):
            self._current.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if isinstance(self._current, Hot):
            self._current.resume()

    # What the parser calls

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            raise Unreadable(errors.too_many_waiting(PIPELINED))
        self.url = b""
        self.headers = []
        self._in_message = self._in_head = True
        self._head_bytes = 0
        self._since = time.monotonic()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self.headers.append((name.lower(), value))
        elif name.lower() in errors.FRAMING:
            # Other trailers are nobody's business either.
            raise Unreadable(errors.framing_in_trailers())

    def on_headers_complete(self) -> None:
        self._in_head = False
        fresh, self._fresh = self._fresh, b""
        asked = self._hot()
        if asked is None:
            self._by_uvicorn()
            return
        if fresh:
            self._heads.learn(fresh, asked)
        hot = Hot(self, asked, asked.keep_alive)
        before, self.cycle = self.cycle, hot  # type: ignore[assignment]  # a cycle to uvicorn
        if before is None or before.response_complete:
            self._current = hot
            hot.turn()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((hot, self.app))  # type: ignore[arg-type]  # as above

    def _hot(self) -> Asked | None:
        """What is asked, if it is a request that goes straight to its engine."""
        given = dict(self.headers)
        if len(self.headers) != len(given) or b"transfer-encoding" in given:
            _check_framing(self.headers)
        if self.parser.should_upgrade() and (
            b"transfer-encoding" in given or given.get(b"content-length", b"0") != b"0"
        ):
            # The parser takes the body for what comes after the upgrade.
            says = "Upgrade is not offered; send the request without it."
            raise Unreadable(Refusal(400, says, code="bad_request"))
        endpoint = _HOT.get(self.url)
        if endpoint is None or self.parser.get_method() != b"POST":
            return None
        version = self.parser.get_http_version()
        length = given.get(b"content-length", b"")
        authorization = given.get(b"authorization")
        if (
            version not in {"1.1", "1.0"}
            or (b"host" not in given and version == "1.1")
            or authorization is None
            or len(length) > 9
            or not length.isdigit()
            or int(length) > self.core.gate.limits.body_bytes
            or b"transfer-encoding" in given
            or b"expect" in given
            or b"content-encoding" in given
            or self.parser.should_upgrade()
            or len(self.headers) > HEADER_COUNT
            or self._too_long()
            or isinstance(self.core.known(authorization, self._address()), Refusal)
        ):
            return None
        return Asked(
            endpoint,
            authorization,
            session=given.get(b"x-session-id", b""),
            trace=given.get(b"traceparent", b""),
            modern=version == "1.1",
            keep_alive=version == "1.1" and self.parser.should_keep_alive(),
        )

    def _too_long(self) -> bool:
        if self._head_bytes + self._read_bytes <= HEADER_BYTES:
            return False
        return sum(len(name) + len(value) for name, value in self.headers) > HEADER_BYTES

    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _by_uvicorn(self) -> None:
        if len(self.url) > HEADER_BYTES:
            raise Unreadable(errors.long_url(len(self.url)))
        if (refusal := errors.long_head(self.headers)) is not None:
            raise Unreadable(refusal)
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._current = cycle
        if isinstance(cycle, Hot):
            # Not in the stack of the answer before it, which may be deep already.
            self.loop.call_soon(cycle.turn)
        else:
            super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        if isinstance(self.cycle, Hot):
            self.cycle.pieces.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        if isinstance(self.cycle, Hot):
            self.cycle.whole()
        else:
            super().on_message_complete()

    # Between requests

    def on_response_complete(self) -> None:
        # uvicorn's, but for a timer with every answer: `look` minds the time.
        self.server_state.total_requests += 1
        self._since = time.monotonic()
        if not self.transport.is_closing():
            if self.flow.read_paused:
                self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())

    def look(self, now: float) -> None:
        """End what has been too slow. Called every second or so; `now` is monotonic."""
        silent = now - self._since
        cycle = self.cycle
        if self._in_head and not self._deaf:
            if silent > SLOW_SECONDS:
                self._refuse(errors.too_slow("head", SLOW_SECONDS))
        elif cycle is None or cycle.response_complete:
            heard = self._deaf and not self.transport.get_write_buffer_size()
            if silent > (LINGER_SECONDS if heard else self.timeout_keep_alive):
                self.transport.abort()
        elif (
            silent > SLOW_SECONDS
            and isinstance(cycle, Hot)
            and cycle.more_body
            # While others are answered we do not read it.
            and not self.flow.read_paused
        ):
            self._refuse(errors.too_slow("body", SLOW_SECONDS))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot be read, after what was asked before it, and read no more."""
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        self._since = time.monotonic()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            unread = cycle.more_body and not self._in_head
            if unread and self.pipeline:
                # It waits for its turn and will never be whole.
                self.pipeline.popleft()
                cycle = self.pipeline[0][0] if self.pipeline else self._current  # type: ignore[assignment]
            if not unread or cycle is not self.cycle:
                # Answers before it come first; with the last of them the connection ends.
                if cycle is not None:
                    cycle.keep_alive = False
                return
            if cycle.response_started:
                self.transport.close()
                return
        body = refusal.body()
        lines = refusal.lines() + b"x-request-id: %b\r\n" % self.core.request_id().encode()
        head = (STATUS_LINE[refusal.status], self.dated(), lines, len(body))
        self.transport.write(WHOLE % (*head, CLOSE, body))
        # It is still read from for a while: a reset would take the answer back.
        self.transport.write_eof()
        if cycle is not None:
            cycle.disconnected = cycle.response_complete = True
            cycle.message_event.set()


def _check_framing(headers: list[tuple[bytes, bytes]]) -> None:
    """Raises Unreadable for what two servers might read in two ways."""
    if sum(name == b"host" for name, _ in headers) > 1:
        raise Unreadable(Refusal(400, "Host was given twice.", code="bad_request"))
    encodings = [value for name, value in headers if name == b"transfer-encoding"]
    if encodings and (len(encodings) > 1 or encodings[0].strip().lower() != b"chunked"):
        says = "The only transfer-encoding that is read is chunked, given once."
        raise Unreadable(Refusal(400, says, code="bad_request"))


def _cause(error: httptools.HttpParserError) -> Refusal:
    cause = error.__context__
    if isinstance(cause, Unreadable):
        return cause.refusal
    if isinstance(error, httptools.HttpParserCallbackError):
        logger.error("a request could not be begun", exc_info=cause)
        return errors.internal()
    return errors.misframed(error)
