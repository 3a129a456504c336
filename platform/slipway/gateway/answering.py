"""What the client is sent of a completion, and what the ledger is told of it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from slipway.gateway import admit, errors, spans, sse
from slipway.gateway.admit import Gate, Ticket, Usage
from slipway.gateway.connection import Connection
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Route
from slipway.gateway.heads import Asked
from slipway.gateway.snapshot import Snapshots
from slipway.gateway.spool import Spool, SpoolFull
from slipway.gateway.steps import Driver
from slipway.gateway.underway import Slot, Underway
from slipway.gateway.upstream import Upstreams
from slipway.gateway.watch import Watch
from slipway_contracts.kept import CompletionLine

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
GONE = Refusal(CLIENT_GONE, "The client went away.")
_LINES = b"x-request-id: %b\r\nopenai-version: 2020-10-01\r\nopenai-processing-ms: %d\r\n%b%b%b"
JSON = b"content-type: application/json\r\n"
_EVENTS = (
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
)
#: Before it is known where a request goes, and for one that is no stream.
NOWHERE = Route(project_id="", name="", deployment_id="", version_id="", endpoints=(), state="gone")
NO_EVENTS = sse.Events(keep_usage=False)


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
    #: Streams that are to be written up even if we are killed.
    underway: Underway
    watch: Watch
    #: Tells the platform that a deployment which sleeps is asked for; may be called often.
    wake: Callable[[str], None]
    #: Takes completions that are to be kept.
    kept: Spool
    #: What has begun and is not over.
    running: set[Any]
    #: None where nobody collects traces.
    spans: spans.Spans | None = None


class Refused(Exception):
    """The engine, or we for it, answer with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Answering(msgspec.Struct, eq=False):
    """A request on its way: one answer to its client, one record, however it ends."""

    _parts: Parts
    _client: Client
    _asked: Asked
    _body: bytes
    request_id: str
    _id: bytes
    #: In seconds of `time.perf_counter`.
    began: float
    _trace: spans.Trace | None = None
    _first_byte_ms: float | None = None
    _ticket: Ticket | None = None
    _served: Route = NOWHERE
    _events: sse.Events = NO_EVENTS
    _started: bool = False
    _settled: bool = False
    _relaying: bool = False
    _connection: Connection | None = None
    #: Drives `_open` while that is at work.
    _driver: Driver | None = None
    #: Where a stream is noted that has begun.
    _slot: Slot | None = None
    #: What was passed on of a stream, where that is to be kept.
    _kept: list[bytes] | None = None
    #: When `beat` last saw how many events had been passed on.
    _beat_at: float = 0.0
    _beat_count: int = 0

    def _over(self) -> None:
        """Nothing more will come of it."""
        self._release()
        self._parts.running.discard(self)

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._parts.upstreams.release(connection)

    # To the client

    def _lines(self, own: bytes, spent: float) -> bytes:
        ticket, limits, who = self._ticket, b"", b""
        if ticket is not None:
            limits, who = ticket.hold.lines, ticket.key.line
            if self._served.name != ticket.asked:
                who += b"x-slipway-model: %b\r\n" % self._served.name.encode()
        return _LINES % (self._id, spent, limits, who, own)

    def _mark_first_byte(self) -> None:
        if self._first_byte_ms is None:
            self._first_byte_ms = (time.perf_counter() - self.began) * 1000

    def _note(self) -> None:
        """What the client is sent of this stream is written up from here on, come what may."""
        spent = self._first_byte_ms or 0.0
        line = admit.line_of(
            self._ticket, served=self._served, status=CLIENT_GONE, usage=self._guess(1),  # type: ignore[arg-type]  # it was let in
            latency_ms=spent, first_byte_ms=spent,
        )  # fmt: skip
        self._slot = self._parts.underway.enter(line)
        if self._slot is not None:
            self._events.count_in(self._slot.sent)

    def _put(self, events: bytes) -> None:
        if self._started:
            self._client.send(events)
        else:
            self._begin(events)

    def _begin(self, events: bytes) -> None:
        self._started = True
        self._client.begin(self._lines(_EVENTS, (time.perf_counter() - self.began) * 1000), events)

    def _end(self, events: bytes) -> None:
        if not self._started:
            self._begin(b"")
        self._client.end(events)

    def _refuse(self, refusal: Refusal) -> None:
        self._started = True
        spent = (time.perf_counter() - self.began) * 1000
        self._client.answer(refusal.status, self._lines(refusal.lines(), spent), refusal.body())

    def _fail(self, refusal: Refusal) -> None:
        """Before the first byte a status, after it an event: never a silent end."""
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
        if self._ticket is not None and not self._settled:
            with contextlib.suppress(Refused):
                self._record(status, self._spent(), (time.perf_counter() - self.began) * 1000)
        self._settled = True
        self._over()

    def _spent(self) -> Usage:
        """What an answer used that did not end well: only what the client was sent counts."""
        if not self._ticket.stream:  # type: ignore[union-attr]  # it was let in
            return self._guess(0)
        return self._events.usage or self._guess(sse.tokens(*self._events.sent[:2]))

    def _guess(self, events: int) -> Usage:
        told = self._connection.headers.get(b"x-prompt-tokens") if self._connection else None
        known = int(told[:9]) if told is not None and told.isdigit() else None
        return admit.estimate(self._ticket, prompt_tokens=known, events=events)  # type: ignore[arg-type]  # it was let in

    def _record(self, status: int, usage: Usage, spent_ms: float) -> None:
        """Settle and write up; raises Refused if it cannot be written."""
        self._settled = True
        line = self._parts.gate.settle(
            self._ticket,  # type: ignore[arg-type]  # it was let in
            served=self._served,
            status=status,
            usage=usage,
            latency_ms=spent_ms,
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
            raise Refused(_not_recorded()) from error
        finally:
            if self._slot is not None:
                self._parts.underway.leave(self._slot)
                self._slot = None

    def _keep(self, ticket: Ticket, answer: bytes) -> None:
        """Spool what was asked and answered; that a disk is full costs the copy, not the answer."""
        line = CompletionLine(
            request_id=ticket.request_id,
            at=ticket.at,
            project_id=ticket.key.project_id,
            request=self._body.decode(),
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
