"""One request for a completion on a client's connection: body in, answer out."""

from __future__ import annotations

import asyncio
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from slipway.gateway.completion import GONE, Asked, Completion
from slipway.gateway.core import Core

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


class Hot:
    """One request for a completion: to uvicorn a cycle like its own, to the completion a client."""

    __slots__ = (
        *("_authorization", "_chunked", "_completion", "_endpoint", "_its_turn", "_link"),
        *("_session", "_trace"),
        *("disconnected", "keep_alive", "more_body", "paused", "pieces"),
        *("response_complete", "response_started"),
    )
    message_event = _NEVER

    def __init__(
        self,
        link: Link,
        endpoint: str,
        authorization: bytes,
        *,
        modern: bool,
        session: bytes = b"",
        trace: bytes = b"",
    ) -> None:
        self._link = link
        self._session, self._trace = session, trace
        self._endpoint, self._authorization = endpoint, authorization
        # HTTP/1.0 knows no chunks, and ends a stream by closing.
        self._chunked = self.keep_alive = modern
        self.pieces: list[bytes] = []
        self.more_body = True
        self.response_started = self.response_complete = self.disconnected = False
        self.paused = False
        self._its_turn = False
        self._completion: Completion | None = None

    def turn(self) -> None:
        """The answers before it have been given."""
        self._its_turn = True
        self._begin()

    def whole(self, *, keep_alive: bool) -> None:
        """The request is there."""
        self.more_body = False
        self.keep_alive = self.keep_alive and keep_alive
        self._begin()

    def _begin(self) -> None:
        if self.more_body or not self._its_turn:
            return
        core = self._link.core
        body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        asked = Asked(
            endpoint=self._endpoint,
            authorization=self._authorization,
            body=body,
            request_id=core.request_id(),
            session=self._session,
            trace=self._trace,
        )
        self.pieces.clear()
        self._completion = core.complete(self, asked)
        self._completion.start()

    def gone(self) -> None:
        self.disconnected = True
        if self._completion is not None:
            self._completion.stop(GONE)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        if self._completion is not None:
            self._completion.resume()

    # What the completion calls

    def answer(self, status: int, lines: bytes, body: bytes) -> None:
        self._write(
            WHOLE % (STATUS_LINE[status], self._link.dated(), lines, len(body), self._close(), body)
        )
        self._complete()

    def begin(self, lines: bytes, data: bytes) -> None:
        self.response_started = True
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        head = (STATUS_LINE[200], self._link.dated(), lines, framing, self._close())
        self._write(b"%b%b%b%b%b\r\n" % head + self._framed(data))

    def send(self, data: bytes) -> None:
        self._write(self._framed(data))

    def end(self, data: bytes) -> None:
        self._write(self._framed(data) + (b"0\r\n\r\n" if self._chunked else b""))
        self._complete()

    def abort(self) -> None:
        self._link.transport.abort()

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if data and self._chunked else data

    def _close(self) -> bytes:
        return b"" if self.keep_alive else CLOSE

    def _write(self, data: bytes) -> None:
        self.response_started = True
        if not self.disconnected:
            self._link.transport.write(data)

    def _complete(self) -> None:
        self.response_complete = True
        self._completion = None
        if not self.keep_alive and not self.disconnected:
            self._link.transport.close()
        self._link.on_response_complete()
