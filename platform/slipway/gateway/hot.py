"""One request for a completion on a client's connection: body in, answer out."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Protocol

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from slipway.gateway.answering import GONE
from slipway.gateway.completion import Completion
from slipway.gateway.core import Core
from slipway.gateway.heads import Asked

#: Status line, date and the like, our lines, length, `connection`, body.
WHOLE = b"%b%b%bcontent-length: %d\r\n%b\r\n%b"
CLOSE = b"connection: close\r\n"


class Link(Protocol):
    """The connection, as far as a request needs it."""

    transport: asyncio.Transport

    @property
    def core(self) -> Core: ...

    def dated(self) -> bytes:
        """Head lines that every answer has."""

    def on_response_complete(self) -> None:
        """The next request may have its turn."""


class _Never:
    """For uvicorn, which tells a cycle so that its connection was lost."""

    def set(self) -> None: ...


_NEVER = _Never()


class Hot(msgspec.Struct, eq=False):
    """One request for a completion: to uvicorn a cycle like its own, to the completion a client."""

    link: Link
    asked: Asked
    keep_alive: bool
    pieces: list[bytes] = []
    more_body: bool = True
    its_turn: bool = False
    paused: bool = False
    disconnected: bool = False
    response_started: bool = False
    response_complete: bool = False
    completion: Completion | None = None
    message_event: ClassVar[_Never] = _NEVER

    def turn(self) -> None:
        """The answers before it have been given."""
        self.its_turn = True
        if not self.more_body:
            self.begin_with(b"".join(self.pieces))

    def whole(self) -> None:
        """The request is there."""
        self.more_body = False
        if self.its_turn:
            self.begin_with(b"".join(self.pieces))

    def begin_with(self, body: bytes) -> None:
        """It is there, and it is its turn."""
        self.more_body = False
        self.completion = self.link.core.complete(self, self.asked, body)
        self.completion.start()

    def gone(self) -> None:
        self.disconnected = True
        if self.completion is not None:
            self.completion.stop(GONE)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        if self.completion is not None:
            self.completion.resume()

    # What the completion calls

    def answer(self, status: int, lines: bytes, body: bytes) -> None:
        head = (STATUS_LINE[status], self.link.dated(), lines, len(body))
        self._write(WHOLE % (*head, b"" if self.keep_alive else CLOSE, body))
        self._complete()

    def begin(self, lines: bytes, data: bytes) -> None:
        # HTTP/1.0 knows no chunks, and ends a stream by closing.
        framing = b"transfer-encoding: chunked\r\n" if self.asked.modern else b""
        close = b"" if self.keep_alive else CLOSE
        head = (STATUS_LINE[200], self.link.dated(), lines, framing, close)
        self._write(b"%b%b%b%b%b\r\n" % head + self._framed(data))

    def send(self, data: bytes) -> None:
        if not self.disconnected:
            framed = b"%x\r\n%b\r\n" % (len(data), data) if self.asked.modern else data
            self.link.transport.write(framed)

    def end(self, data: bytes) -> None:
        self._write(self._framed(data) + (b"0\r\n\r\n" if self.asked.modern else b""))
        self._complete()

    def abort(self) -> None:
        self.link.transport.abort()

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if data and self.asked.modern else data

    def _write(self, data: bytes) -> None:
        self.response_started = True
        if not self.disconnected:
            self.link.transport.write(data)

    def _complete(self) -> None:
        self.response_complete = True
        self.completion = None
        if not self.keep_alive and not self.disconnected:
            self.link.transport.close()
        self.link.on_response_complete()
