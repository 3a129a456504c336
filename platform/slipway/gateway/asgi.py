"""The door at /v1: paths, bodies, models, and completions handed on. Raw ASGI, no ORM."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from slipway.gateway import errors
from slipway.gateway.answering import GONE
from slipway.gateway.core import Core
from slipway.gateway.errors import Refusal, pairs
from slipway.gateway.facts import Route
from slipway.gateway.heads import Asked
from slipway.gateway.reading import CHAT, ENDPOINTS

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MODELS = "/v1/models"
#: A body must be here this many seconds after its head.
BODY_SECONDS = 15.0
#: Python looks for cycles as often as objects pile up; a busy server needs it more seldom.
_GC = (20_000, 20, 50)
_VERSION = (b"openai-version", b"2020-10-01")


class ClientGone(Exception):
    """Nobody is there to answer."""


class Gateway(Core):
    """The ASGI application below /v1/."""

    async def lifespan(self, receive: Receive, send: Send) -> None:
        """Start and stop with the server."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                # What is there now stays: looking through it for garbage would cost milliseconds.
                gc.collect()
                gc.freeze()
                gc.set_threshold(*_GC)
                try:
                    await self.start()
                except OSError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request_id = self.request_id()
        headers: Headers = [(b"x-request-id", request_id.encode()), _VERSION]
        began = time.perf_counter()
        try:
            answer = await self._route(scope, receive, send, request_id)
        except ClientGone:
            return
        if answer is None:
            return
        if isinstance(answer, Refusal):
            self.watch.refuse(answer.code)
            status, body = answer.status, answer.body()
            headers += answer.headers()
        else:
            status, body = 200, answer
            headers.append((b"content-type", b"application/json"))
        spent = (time.perf_counter() - began) * 1000
        headers += [
            (b"openai-processing-ms", b"%d" % spent),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _route(
        self, scope: dict[str, Any], receive: Receive, send: Send, request_id: str
    ) -> bytes | Refusal | None:
        """The answer, or None where it was sent already."""
        given = _read_headers(scope)
        if isinstance(given, Refusal):
            return given
        method, path = scope["method"], scope["path"]
        address = address_of(scope)
        if path in ENDPOINTS:
            if method != "POST":
                return errors.not_allowed(
                    method, path, "GET, HEAD, POST" if path == CHAT else "POST"
                )
            authorization = given.get(b"authorization")
            # Nobody may make us hold a body without a key.
            key = await self.authorize(authorization, address)
            if isinstance(key, Refusal):
                return key
            body = await self._body(given, receive)
            if isinstance(body, Refusal):
                return body
            asked = Asked(
                path,
                authorization,
                session=given.get(b"x-session-id", b""),
                trace=given.get(b"traceparent", b""),
            )
            await self._complete(asked, body, request_id, receive, send)
            return None
        if path == MODELS or (path.startswith(MODELS + "/") and len(path) > len(MODELS) + 1):
            if method not in {"GET", "HEAD"}:
                allow = "GET, HEAD" if path == MODELS else "GET, HEAD, DELETE"
                return errors.not_allowed(method, path, allow)
            name = path[len(MODELS) + 1 :]
            return await self._models(given.get(b"authorization"), name, address)
        return errors.unknown_url(method, path)

    async def _complete(
        self, asked: Asked, body: bytes, request_id: str, receive: Receive, send: Send
    ) -> None:
        client = _Client()
        completion = self.complete(client, asked, body, request_id)
        client.resume = completion.resume
        gone = asyncio.ensure_future(receive())
        gone.add_done_callback(lambda _: completion.stop(GONE))
        completion.start()
        try:
            await client.hand_on(send, gone)
        finally:
            completion.stop(GONE)
            gone.cancel()

    async def _body(self, given: dict[bytes, bytes], receive: Receive) -> bytes | Refusal:
        limit = self.gate.limits.body_bytes
        length = given.get(b"content-length", b"0")
        if len(length) > 18 or int(length) > limit:
            return errors.too_large(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if not message.get("more_body"):
            whole: bytes = message.get("body", b"")
            return whole if len(whole) <= limit else errors.too_large(limit)
        body = bytearray(message.get("body", b""))
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while message.get("more_body"):
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    body += message.get("body", b"")
                    if len(body) > limit:
                        return errors.too_large(limit)
        except TimeoutError:
            return errors.too_slow("body", BODY_SECONDS)
        return bytes(body)

    async def _models(
        self, authorization: bytes | None, name: str, address: str
    ) -> bytes | Refusal:
        key = await self.authorize(authorization, address)
        if isinstance(key, Refusal):
            return key
        # Who asks what there is has often just made something.
        await self.snapshots.refresh()
        if not name:
            found = self.snapshots.current.routes_of(key.project_id)
            listed = {"object": "list", "data": [_model(route) for route in found if route.answers]}
            return msgspec.json.encode(listed)
        route = self.snapshots.current.routes.get((key.project_id, name))
        return msgspec.json.encode(_model(route)) if route else errors.model_not_found(name)


#: Bytes of one stream that may wait here; what is between us and the socket holds more.
_MOST_HELD = 16 * 1024


class _Client:
    """Hands on what a completion gives, one ASGI message at a time.

    It is paused once it holds more than `_MOST_HELD` bytes that nobody takes.
    """

    def __init__(self) -> None:
        self.paused = False
        self._held = 0
        self.resume: Callable[[], None] = lambda: None
        self._messages: deque[dict[str, Any]] = deque()
        self._given = asyncio.Event()
        self._aborted = False
        self._task: asyncio.Task[Any] | None = None

    def answer(self, status: int, lines: bytes, body: bytes) -> None:
        self._head(status, lines + b"content-length: %d\r\n" % len(body))
        self.end(body)

    def begin(self, lines: bytes, data: bytes) -> None:
        self._head(200, lines)
        self.send(data)

    def send(self, data: bytes) -> None:
        self._give({"type": "http.response.body", "body": data, "more_body": True})

    def end(self, data: bytes) -> None:
        self._give({"type": "http.response.body", "body": data, "more_body": False})

    def abort(self) -> None:
        self._aborted = True
        if self._task is not None:
            self._task.cancel()

    def _head(self, status: int, lines: bytes) -> None:
        self._give({"type": "http.response.start", "status": status, "headers": pairs(lines)})

    def _give(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        self._held += len(message.get("body", b""))
        self.paused = self._held > _MOST_HELD
        self._given.set()

    async def hand_on(self, send: Send, gone: asyncio.Future[Any]) -> None:
        """Until the last message was taken, or nobody takes them."""
        self._task = asyncio.current_task()
        gone.add_done_callback(lambda _: self._given.set())
        try:
            while not gone.done():
                if not self._messages:
                    self._given.clear()
                    await self._given.wait()
                    continue
                message = self._messages.popleft()
                await send(message)
                if message.get("more_body") is False:
                    return
                self._held -= len(message.get("body", b""))
                if self.paused and self._held <= _MOST_HELD:
                    self.paused = False
                    self.resume()
        except asyncio.CancelledError:
            if not self._aborted:
                raise
            raise ConnectionAbortedError("the client does not read") from None


def _model(route: Route) -> dict[str, Any]:
    return {
        "id": route.name,
        "object": "model",
        "created": route.created_at,
        "owned_by": route.project_id,
        "root": route.root or None,
        "parent": route.parent or None,
        "max_model_len": route.context_length or None,
        "capabilities": route.capabilities,
        "state": route.state,
    }


def address_of(scope: dict[str, Any]) -> str:
    """The client's address as the server saw it; empty behind a Unix socket."""
    return str((scope.get("client") or ("",))[0])


def _read_headers(scope: dict[str, Any]) -> dict[bytes, bytes] | Refusal:
    headers = scope["headers"]
    if (refusal := errors.long_head(headers)) is not None:
        return refusal
    given = dict(headers)
    if scope["http_version"] not in {"1.1", "1.0", "2", "3"}:
        return Refusal(505, "Speak HTTP/1.1.", code="http_version")
    if b"host" not in given and scope["http_version"] == "1.1":
        return Refusal(400, "HTTP/1.1 requires a Host header.", code="no_host")
    return given
