"""One HTTP request and its answer, over bare ASGI."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from slipway_runtime.serving import refusal

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 << 20
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Disconnected(Exception):
    """The client closed the connection; nobody is there to answer."""


class Cancellable(Protocol):
    """Work that ends early once nobody waits for it."""

    def cancel(self) -> None: ...


class Exchange:
    """One HTTP request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.path: str = scope["path"].rstrip("/")
        self._receive = receive
        self._send = send
        #: URI of the adapter to answer with, told by the gateway; empty for the model itself.
        self.adapter = next((v for k, v in scope["headers"] if k == b"x-adapter"), b"").decode()
        #: Asked for later, as the gateway says: who waits for an answer goes first.
        self.background = any(k == b"x-background" for k, _ in scope["headers"])
        self.started = False
        self.gone = False
        given = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"").decode(
            "latin-1"
        )
        valid = _REQUEST_ID.fullmatch(given)
        self.request_id = given if valid else f"req_{uuid.uuid4().hex}"

    async def body(self) -> bytes:
        pieces, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > MAX_BODY_BYTES:
                raise refusal.ApiError(
                    413, f"The request body is larger than {MAX_BODY_BYTES} bytes."
                )
            if not message.get("more_body"):
                return b"".join(pieces)

    async def on_disconnect(self, streams: Iterable[Cancellable]) -> None:
        """Wait for the client to hang up, then free its rows."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        for stream in streams:
            stream.cancel()

    async def json(self, status: int, body: Any, retry_after_seconds: int | None = None) -> None:
        data = json.dumps(body, ensure_ascii=False).encode()
        headers = [(b"content-length", str(len(data)).encode())]
        if retry_after_seconds is not None:
            headers.append((b"retry-after", str(retry_after_seconds).encode()))
        await self._start(status, b"application/json", headers)
        await self._send({"type": "http.response.body", "body": data})

    async def start_events(self) -> None:
        await self._start(200, b"text/event-stream", [(b"cache-control", b"no-cache")])

    async def event(self, data: bytes, *, last: bool = False) -> None:
        if data or last:
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def _start(
        self, status: int, content_type: bytes, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self.started = True
        headers = [
            (b"content-type", content_type),
            (b"x-request-id", self.request_id.encode()),
            *headers,
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


class Application:
    """ASGI: each route's handler gets an Exchange; what it raises becomes an error object."""

    def __init__(self) -> None:
        #: `starting`, `ready` once real work was done, `stopping`.
        self.state = "starting"
        self.routes: dict[tuple[str, str], Callable[[Exchange], Awaitable[None]]] = {}

    async def stop(self, grace_seconds: float) -> None:
        """Take nothing new and let running answers end for so long."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        try:
            handler = self.routes.get((scope["method"], exchange.path))
            await (handler or self._unknown)(exchange)
        except Disconnected:
            return
        except refusal.ApiError as error:
            await exchange.json(error.status, error.body, error.retry_after_seconds)
        except Exception as error:
            log.exception("a request failed")
            await exchange.json(500, refusal.ApiError(500, f"{type(error).__name__}: {error}").body)

    async def _unknown(self, exchange: Exchange) -> None:
        known = any(exchange.path == route for _, route in self.routes)
        raise refusal.ApiError(
            405 if known else 404, f"No such endpoint: {exchange.path}.", code="unknown_url"
        )
