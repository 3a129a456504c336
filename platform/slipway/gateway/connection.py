"""One HTTP/1.1 connection to an engine: strict about framing, one exchange at a time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from itertools import chain
from typing import Any, ClassVar

import httptools

from slipway.gateway.errors import FRAMING
from slipway.gateway.heads import Heads
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

    #: The lines of answers read in one piece that were good, and left the connection so.
    _heads: ClassVar[Heads[list[tuple[bytes, bytes]]]] = Heads(b"HTTP/1.1 200 ")

    def __init__(self, inbox: memoryview, now: Callable[[], float]) -> None:
        #: Shared by all connections of the loop: it is filled and emptied in one step.
        self._inbox = inbox
        self._narrow = inbox[:READ_BYTES]
        self._now = now
        #: Parts of the body that wait here; the parser puts them there itself.
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        #: Has carried an exchange before this one.
        self.reused = self._used = False
        self.busy = self.paused = self.reusable = False
        self._begin(b"", whole=False, wake=_nobody, patience=math.inf)

    def _begin(
        self, request_id: bytes, *, whole: bool, wake: Callable[[], None], patience: float
    ) -> None:
        self._request_id, self._whole, self._wake = request_id, whole, wake
        self.patience = patience
        self._lines: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self.status = 0
        #: The head of the answer is there, with so many lines.
        self.answered = self._taken = self.complete = False
        self.failure: UpstreamError | None = None
        #: When its last bytes must have come, in the loop's seconds.
        self.last_by = math.inf
        self.started_at = self.heard_at = self._now()
        #: Something came since `heard_at` was last looked at, once a second or so.
        self.stirred = False
        if self._pieces:
            self._pieces.clear()

    # What the pool and the server call

    def start(
        self,
        request: bytes,
        request_id: bytes,
        *,
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
        self._begin(request_id, whole=whole, wake=wake, patience=patience)
        self.reused, self._used = self._used, True
        self.busy = True
        if self._transport is None:
            self.failure = Closed("it hung up")
        else:
            self._transport.write(request)

    def take(self) -> bytes:
        """The bytes of the body that wait here."""
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._taken = True
        if self.paused and self.open:
            self.paused = False
            self.heard_at = self._now()
            self._transport.resume_reading()  # type: ignore[union-attr]  # it is open
        return data

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Those of the answer, by their names in small letters."""
        return {name.lower(): value for name, value in self._lines}

    @property
    def heard(self) -> bool:
        """A part of the body has come."""
        return self._taken or bool(self._pieces)

    @property
    def buffered(self) -> int:
        """Bytes that wait here."""
        return sum(map(len, self._pieces))

    async def begun(self) -> None:
        """Until the answer has begun, or if it is read whole is there. Raises UpstreamError."""
        while not self.has_begun:
            await waiting()
        if self.failure is not None:
            raise self.failure

    @property
    def has_begun(self) -> bool:
        """There is something to take (`whole`: all of it), or there will be nothing."""
        return self.over or (not self._whole and bool(self._pieces))

    @property
    def over(self) -> bool:
        """Nothing more will come."""
        return self.complete or self.failure is not None

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
        self.heard_at = self._now()

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
        self.stirred = True
        data: memoryview | bytes = self._inbox[:nbytes]
        fresh = self._whole and not (self.answered or self._head_bytes)
        if fresh and self._by_head(data := bytes(data)):
            self._wake()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._misframed(error)
            return
        except httptools.HttpParserUpgrade:
            self.fail(BadFraming("an upgrade nobody asked for"))
            return
        if not self.answered:
            self._head_bytes += nbytes
            if self._head_bytes > HEADER_BYTES:
                self.fail(BadFraming("headers without end"))
            return
        if fresh:
            self._learn(bytes(data))
        if self.complete or not self._whole:
            self._wake()
        # What was not taken at once waits for a client that reads slowly.
        if self._pieces and not self.complete:
            self._mind(self.buffered)

    def _by_head(self, data: bytes) -> bool:
        """Take a whole answer whose head is known; or not, if it must be parsed."""
        found = self._heads.find(data, self._request_id)
        if found is None or found[1] + found[2] != len(data):
            return False
        self._lines, self.status = found[0], 200
        self.answered = self.complete = self.reusable = True
        self._pieces.append(data[found[1] :])
        return True

    def _learn(self, data: bytes) -> None:
        if self.complete and self.reusable and self.status == 200:
            lines = [line for line in self._lines if line[1] != self._request_id]
            self._heads.learn(data, lines, self._request_id)

    def _misframed(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__ if isinstance(error.__context__, BadFraming) else error
        # An answer that is whole stays whole; what follows it only spoils the connection.
        self.reusable = False
        self.fail(BadFraming(str(cause) or type(cause).__name__))

    def _mind(self, waiting_bytes: int) -> None:
        if self._whole:
            if waiting_bytes > WHOLE_BYTES:
                self.fail(BadFraming(f"the answer is larger than {WHOLE_BYTES} bytes"))
        elif waiting_bytes > BUFFER_BYTES and not self.paused and self.open:
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
        if self.complete:
            raise BadFraming("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here too; nothing in them is to be believed.
        if not self.answered:
            self._lines.append((name, value))
        elif name.lower() in FRAMING:
            raise BadFraming("a trailer that would say where the answer ends")

    def on_headers_complete(self) -> None:
        lines, parser = self._lines, self._parser
        self.answered = True
        self.status = parser.get_status_code()
        if self.status < 200:
            raise BadFraming(f"status {self.status}, which nobody asked for")
        if parser.get_http_version() != "1.1":
            raise BadFraming(f"HTTP/{parser.get_http_version()}")
        if len(lines) > HEADER_COUNT or sum(map(len, chain(*lines))) > HEADER_BYTES:
            raise BadFraming("headers without end")
        headers = self.headers
        if b"content-length" not in headers:
            encodings = [value for name, value in lines if name.lower() == b"transfer-encoding"]
            if not encodings:
                raise BadFraming("neither content-length nor chunked: a cut could not be told")
            if len(encodings) > 1 or encodings[0].strip().lower() != b"chunked":
                raise BadFraming("a transfer-encoding other than chunked")
        elif b"transfer-encoding" in headers:
            raise BadFraming("both content-length and transfer-encoding")
        if self._request_id and headers.get(b"x-request-id", self._request_id) != self._request_id:
            raise BadFraming("the answer to another request")

    def on_message_complete(self) -> None:
        self.complete = True
        # Only here does the parser still know.
        self.reusable = self._parser.should_keep_alive()


def _nobody() -> None:
    pass
