"""The door at /v1: paths, bodies, models, and completions handed on. Raw ASGI, no ORM."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from slipway.gateway import errors
from slipway.gateway.admit import CHAT, COMPLETIONS, EMBEDDINGS, Gate, Limits, Ticket
from slipway.gateway.completion import CLIENT_GONE, Completion, Headers, Parts, Send
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Route, Snapshot
from slipway.gateway.snapshot import Snapshots
from slipway.gateway.spool import Spool
from slipway.gateway.upstream import Timeouts, Upstreams

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]

MODELS = "/v1/models"
#: What a request's headers may come to.
HEADER_BYTES, HEADER_COUNT = 32 * 1024, 100
#: A body must be here this many seconds after its head.
BODY_SECONDS = 15.0
_VERSION = (b"openai-version", b"2020-10-01")
_GONE = Refusal(CLIENT_GONE, "The client went away.")


class ClientGone(Exception):
    """Nobody is there to answer."""


class Gateway:
    """The ASGI application below /v1/.

    What it is not given it takes from the settings: `load` reads keys and routes (in a thread),
    `digest` turns a secret into what keys are stored under, `spool` is a directory.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Snapshot] | None = None,
        digest: Callable[[str], str] | None = None,
        spool: Path | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
    ) -> None:
        if load is None or digest is None or spool is None:
            from django.conf import settings

            from slipway.gateway import snapshot
            from slipway.tenancy import services as tenancy

            load = load or snapshot.load
            digest = digest or tenancy.digest_of
            spool = spool or settings.USAGE_SPOOL
        self.gate = Gate(digest=digest, limits=limits)
        self.snapshots = Snapshots(load)
        self.spool = Spool(spool)
        self.timeouts = timeouts or Timeouts()
        self._running: dict[Completion, float] = {}
        # Unique for ever, and cheap: a random start per process, then a counter.
        self._prefix = f"req_{secrets.token_hex(10)}"
        self._count = itertools.count()
        self._parts: Parts | None = None

    async def lifespan(self, receive: Receive, send: Send) -> None:
        """Start and stop with the server."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
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

    async def start(self) -> None:
        self.spool.start()
        self.snapshots.start()
        upstreams = Upstreams(self.timeouts)
        self._parts = Parts(
            gate=self.gate, snapshots=self.snapshots, upstreams=upstreams, spool=self.spool
        )
        self._watch = asyncio.get_running_loop().call_later(self.timeouts.tick, self._tick)
        await self.snapshots.refresh()

    async def stop(self) -> None:
        if self._parts is not None:
            self._watch.cancel()
            await self._parts.upstreams.close()
            await asyncio.to_thread(self.snapshots.stop)
            await asyncio.to_thread(self.spool.stop)

    def _tick(self) -> None:
        now = time.monotonic()
        late = errors.timed_out(f"The answer took longer than {self.timeouts.total:g} s.")
        for completion, deadline in list(self._running.items()):
            if now > deadline:
                completion.cancel(late)
        self._watch = asyncio.get_running_loop().call_later(self.timeouts.tick, self._tick)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request_id = f"{self._prefix}{next(self._count):08x}"
        headers: Headers = [(b"x-request-id", request_id.encode()), _VERSION]
        began = time.perf_counter()
        try:
            answer = await self._route(scope, receive, send, request_id, headers)
        except ClientGone:
            return
        if answer is None:
            return
        if isinstance(answer, Refusal):
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
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _route(
        self, scope: dict[str, Any], receive: Receive, send: Send, request_id: str, base: Headers
    ) -> bytes | Refusal | None:
        """The answer, or None where it was sent already."""
        given = _read_headers(scope)
        if isinstance(given, Refusal):
            return given
        method, path = scope["method"], scope["path"]
        address = address_of(scope)
        if path in {CHAT, COMPLETIONS, EMBEDDINGS}:
            if method != "POST":
                return errors.not_allowed(method, path, "POST")
            ticket = await self._admit(path, given, receive, request_id, address)
            if isinstance(ticket, Refusal):
                return ticket
            await self._complete(ticket, receive, send, base)
            return None
        if path == MODELS or (path.startswith(MODELS + "/") and len(path) > len(MODELS) + 1):
            if method != "GET":
                return errors.not_allowed(method, path, "GET")
            name = path[len(MODELS) + 1 :]
            return await self._models(given.get(b"authorization"), name, address)
        return errors.unknown_url(method, path)

    async def _admit(
        self,
        endpoint: str,
        given: dict[bytes, bytes],
        receive: Receive,
        request_id: str,
        address: str,
    ) -> Ticket | Refusal:
        authorization = given.get(b"authorization")
        # Nobody may make us hold a body without a key.
        key = await self.authorize(authorization, address)
        if isinstance(key, Refusal):
            return key
        body = await self._body(given, receive)
        if isinstance(body, Refusal):
            return body

        def admit() -> Ticket | Refusal:
            return self.gate.admit(
                endpoint=endpoint,
                authorization=authorization,
                body=body,
                snapshot=self.snapshots.current,
                now=time.time(),
                request_id=request_id,
            )

        ticket = admit()
        if isinstance(ticket, Refusal) and ticket.again:
            # The model may have been deployed, or gone live, a moment ago: no from an old picture
            # would contradict what the REST API says already.
            await self.snapshots.refresh()
            ticket = admit()
        return ticket

    async def _complete(self, ticket: Ticket, receive: Receive, send: Send, base: Headers) -> None:
        if self._parts is None:
            raise RuntimeError("the server must send lifespan events: uvicorn --lifespan on")
        completion = Completion(self._parts, ticket, send, [*base, *ticket.hold.headers])
        self._running[completion] = time.monotonic() + self.timeouts.total
        gone = asyncio.ensure_future(receive())
        gone.add_done_callback(lambda _: completion.cancel(_GONE))
        try:
            await completion.run()
        finally:
            del self._running[completion]
            gone.cancel()

    async def authorize(self, authorization: bytes | None, address: str) -> Key | Refusal:
        key = self.gate.authorize(authorization, self.snapshots.current, time.time(), address)
        if isinstance(key, Refusal) and key.again:
            # It may have been made a moment ago.
            await self.snapshots.refresh()
            key = self.gate.authorize(authorization, self.snapshots.current, time.time(), address)
        return key

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
            return Refusal(
                408, f"The body did not arrive within {BODY_SECONDS:g} s.", code="body_timeout"
            )
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
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    if size > HEADER_BYTES or len(headers) > HEADER_COUNT:
        return Refusal(
            431,
            f"The headers come to {size} bytes in {len(headers)} lines; at most {HEADER_BYTES} "
            f"bytes in {HEADER_COUNT} lines are read.",
            code="headers_too_large",
        )
    given = dict(headers)
    if scope["http_version"] not in {"1.1", "1.0", "2", "3"}:
        return Refusal(505, "Speak HTTP/1.1.", code="http_version")
    if b"host" not in given and scope["http_version"] == "1.1":
        return Refusal(400, "HTTP/1.1 requires a Host header.", code="no_host")
    return given
