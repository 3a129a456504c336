"""One HTTP/1.1 connection to an engine: strict about framing, one exchange at a time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import httptools

from slipway.gateway.errors import FRAMING
from slipway.gateway.steps import waiting

#: Bytes of a stream that may wait here before reading stops.
BUFFER_BYTES = 8 * 1024
#: Bytes of a stream taken from the socket at a time. With what may wait to be sent to the client
#: (server.WRITE_BYTES and one take) no stream holds more than 64 KiB.
READ_BYTES = 16 * 1024
#: The same for an answer that is read in one piece.
WHOLE_READ_BYTES = 256 * 1024
HEADER_BYTES, HEADER_COUNT = 32 * 1024, 100
#: An answer that is read in one piece may be this large.
WHOLE_BYTES = 32 * 1024 * 1024


class UpstreamError(Exception):
    """The engine's side of an exchange went wrong."""


class Closed(UpstreamError):
    """The connection closed before the answer was whole."""


class BadFraming(UpstreamError):
    """What came is not one well-framed HTTP/1.1 answer."""


class TimedOut(UpstreamError):
    """Nothing came for too long."""


class Connection(asyncio.BufferedProtocol):
    """An exchange with one replica, over and over.

    An exchange is `start()`, then `status` once the head is there, `take()` as often as wanted,
    and `complete` or `failure` at the end; `wake` is called whenever there is more to see.
    """

    def __init__(self, inbox: memoryview, now: Callable[[], float]) -> None:
        #: Shared by all connections of the loop: it is filled and emptied in one step.
        self._inbox = inbox
        self._narrow = inbox[:READ_BYTES]
        self._now = now
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._wake: Callable[[], None] = _nobody
        #: Has carried an exchange before this one.
        self.reused = False
        self.busy = False
        self._used = False
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._header_bytes = 0
        self._begun = False
        #: The head of the answer is there.
        self.answered = False
        #: So is a part of its body.
        self.heard = False
        self.complete = False
        self.reusable = False
        self.failure: UpstreamError | None = None
        self._pieces: list[bytes] = []
        self.buffered = 0
        self.paused = False
        self._whole = False
        self._request_id = b""
        self.patience = math.inf
        #: When its last bytes must have come, in the loop's seconds.
        self.last_by = math.inf
        self.started_at = self.heard_at = self._now()

    # What the pool and the server call

    def start(
        self,
        request: bytes,
        *,
        request_id: bytes,
        whole: bool,
        wake: Callable[[], None],
        patience: float = math.inf,
    ) -> None:
        """Send a request; `whole` reads the answer to its end before anyone takes of it.

        `patience` is the longest silence in seconds, where it is less than that of the pool. With
        an empty `request_id` the answer may name itself as it likes.

        An engine that names a request in its answer (`x-request-id`) must name this one: a late
        second answer to the one before would otherwise pass for the answer to this.
        """
        self._reset()
        self._request_id = request_id
        self._wake = wake
        self.patience = patience
        self.reused, self._used = self._used, True
        self._whole, self.busy = whole, True
        if self._transport is None:
            self.failure = Closed("it hung up")
        else:
            self._transport.write(request)

    def take(self) -> bytes:
        """The bytes of the body that wait here."""
        if not self._pieces:
            return b""
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self.buffered = 0
        if self.paused and self.open:
            self.paused = False
            self.heard_at = self._now()
            self._transport.resume_reading()  # type: ignore[union-attr]  # it is open
        return data

    async def begun(self) -> None:
        """Until the answer has begun, or if it is read whole is there. Raises UpstreamError."""
        while not self.has_begun:
            await waiting()
        if self.failure is not None:
            raise self.failure

    @property
    def has_begun(self) -> bool:
        """There is something to take (`whole`: all of it), or there will be nothing."""
        over = self.complete or self.failure is not None
        return over or (not self._whole and bool(self._pieces))

    async def wait(self) -> None:
        """Until bytes wait, the answer is complete, or the exchange failed."""
        while not (self._pieces or self.complete or self.failure):
            await waiting()

    async def wait_until_complete(self) -> None:
        while not (self.complete or self.failure):
            await waiting()

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on, in place of who was called before."""
        self._wake = wake

    def end(self) -> None:
        """Nobody looks at this exchange any more."""
        self.busy = False
        self._wake = _nobody

    def fail(self, failure: UpstreamError) -> None:
        """End the exchange and the connection; the engine sees it close and stops working."""
        if not self.complete and self.failure is None:
            self.failure = failure
        self.close()
        self._wake()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    # What the transport calls

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._inbox if self._whole else self._narrow

    def buffer_updated(self, nbytes: int) -> None:
        if not self.busy or self.complete:
            # Whatever comes unasked would be taken for the answer to the next request.
            self.reusable = False
            self.close()
            return
        self.heard_at = self._now()
        try:
            self._parser.feed_data(self._inbox[:nbytes])
        except httptools.HttpParserError as error:
            cause = error.__context__ if isinstance(error.__context__, BadFraming) else error
            # An answer that is whole stays whole; what follows it only spoils the connection.
            self.reusable = False
            self.fail(BadFraming(str(cause) or type(cause).__name__))
            return
        except httptools.HttpParserUpgrade:
            self.fail(BadFraming("an upgrade nobody asked for"))
            return
        if self._whole:
            if self.complete:
                self._wake()
            return
        self._wake()
        # What was not taken at once waits for a client that reads slowly.
        if self.buffered > BUFFER_BYTES and not self.complete and not self.paused and self.open:
            self.paused = True
            self._transport.pause_reading()  # type: ignore[union-attr]  # it is open

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.reusable = False
        if not self.complete and self.failure is None:
            self.failure = Closed(str(error) if error else "it hung up")
        self._wake()

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._begun:
            raise BadFraming("a second answer to one request")
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_BYTES or len(self.headers) >= HEADER_COUNT:
            raise BadFraming("headers without end")
        name = name.lower()
        # Trailers come here too; nothing in them is to be believed.
        if self.answered and name in FRAMING:
            raise BadFraming("a trailer that would say where the answer ends")
        if not self.answered:
            if name == b"transfer-encoding" and (
                name in self.headers or value.strip().lower() != b"chunked"
            ):
                raise BadFraming("a transfer-encoding other than chunked")
            self.headers[name] = value

    def on_headers_complete(self) -> None:
        self.answered = True
        self.status = self._parser.get_status_code()
        if self.status < 200:
            raise BadFraming(f"status {self.status}, which nobody asked for")
        if self._parser.get_http_version() != "1.1":
            raise BadFraming(f"HTTP/{self._parser.get_http_version()}")
        named = self.headers.get(b"x-request-id", self._request_id)
        if self._request_id and named != self._request_id:
            raise BadFraming("the answer to another request")
        if b"content-length" not in self.headers and b"transfer-encoding" not in self.headers:
            raise BadFraming("neither content-length nor chunked: a cut could not be told")

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self.buffered += len(body)
        self.heard = True
        if self._whole and self.buffered > WHOLE_BYTES:
            raise BadFraming(f"the answer is larger than {WHOLE_BYTES} bytes")

    def on_message_complete(self) -> None:
        self.complete = True
        # Only here does the parser still know.
        self.reusable = self._parser.should_keep_alive()


def _nobody() -> None:
    pass
