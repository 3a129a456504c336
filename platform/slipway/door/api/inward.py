"""One request of a route that is answered by asking the gateway, in-process, on its behalf.

The gateway is asked as the client's own key asked, over ASGI: allowed, limited, billed and
written up like any other request, and ended when the client goes away.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import DatabaseError, close_old_connections

from slipway.door.api import manners
from slipway.door.services import asked
from slipway.door.services.words import Bad

logger = logging.getLogger(__name__)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MOST_BYTES = 8 * 1024 * 1024
BODY_SECONDS = 15.0
#: What of the gateway's headers its answer here has as well.
_PASSED_ON = (
    b"x-request-id",
    b"x-ratelimit-",
    b"retry-after",
    b"x-should-retry",
    b"openai-organization",
)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks: the project of the key."""

    project_id: UUID


class Turned(Exception):
    """The gateway's refusal, to be passed on as it is."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body = status, headers, body


class ClientGone(Exception):
    """Nobody is there to answer."""


@dataclass
class Reply:
    """The gateway's answer in one piece."""

    status: int = 0
    headers: Headers | None = None
    body: bytes = b""

    @property
    def error(self) -> dict[str, Any]:
        found = json.loads(self.body).get("error")
        return found if isinstance(found, dict) else {}


class Exchange:
    """The client's request, its answer, and the gateway behind."""

    def __init__(
        self, gateway: Application, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        self.scope = scope
        self.method, self.path = scope["method"], scope["path"]
        given = dict(scope["headers"])
        self.authorization: bytes | None = given.get(b"authorization")
        self.idempotency_key = given.get(b"idempotency-key", b"").decode("latin-1")
        retries = given.get(b"x-stainless-retry-count", b"0").strip()
        self.retried = retries not in {b"", b"0"}
        #: Told the answer, so that a repetition of this request gets the same.
        self.claim: asked.Claim | None = None
        self.gone = asyncio.Event()
        self._length = given.get(b"content-length", b"0")
        self._gateway, self._receive, self._send = gateway, receive, send
        self._began = time.perf_counter()
        self._watch: asyncio.Task[None] | None = None
        self.started = False

    async def body(self) -> bytes:
        """The whole body; Bad if it is too large or too slow, ClientGone if it never ends."""
        if not self._length.isdigit() or int(self._length[:18]) > MOST_BYTES:
            raise _TooLarge
        pieces, size, more = [], 0, True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > MOST_BYTES:
                        raise _TooLarge
                    more = message.get("more_body", False)
        except TimeoutError:
            text = f"The body was not here after {BODY_SECONDS:g} s."
            raise Bad(text, code="body_timeout") from None
        self._watch = asyncio.create_task(self._until_gone())
        return b"".join(pieces)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone.set()

    def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    async def ask(self, path: str, body: dict[str, Any], send: Send | None = None) -> Reply:
        """Ask the gateway. With `send`, that gets the answer's messages and the reply is empty.

        Raises ClientGone once the client hung up.
        """
        data = json.dumps(body, ensure_ascii=False).encode()
        reply, sent = Reply(), False

        async def receive() -> Message:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": data, "more_body": False}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply.status, reply.headers = message["status"], list(message["headers"])
            else:
                reply.body += message.get("body", b"")

        headers = [
            (b"host", b"gateway"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(data)),
        ]
        if self.authorization is not None:
            headers.append((b"authorization", self.authorization))
        scope = self.scope | {"method": "POST", "path": path, "raw_path": path.encode(),
                              "query_string": b"", "headers": headers}  # fmt: skip
        await self._gateway(scope, receive, send or collect)
        if self.gone.is_set():
            raise ClientGone
        return reply

    # Answers

    async def start(self, status: int, headers: Headers) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def answer(
        self, status: int, body: Any, *, like: Headers | None = None, more: Headers | None = None
    ) -> None:
        """A JSON answer; `like` are headers of the gateway's answer that it rests on."""
        if status == 200 and self.claim is not None:
            claim, self.claim = self.claim, None
            try:
                await with_rows(lambda: claim.done(status, body))
            except DatabaseError as error:
                # The answer was paid for; it is told all the same.
                logger.error("an answer was not remembered: %s", error)  # noqa: TRY400 - the cause is in the message
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        length = (b"content-length", b"%d" % len(data))
        await self.start(status, [*self.headers(like), *(more or ()), length])
        await self.write(data, last=True)

    def headers(self, like: Headers | None, content_type: bytes = b"application/json") -> Headers:
        kept = [pair for pair in like or () if pair[0].startswith(_PASSED_ON)]
        if not any(name == b"x-request-id" for name, _ in kept):
            kept.append((b"x-request-id", f"req_{secrets.token_hex(12)}".encode()))
        spent = (time.perf_counter() - self._began) * 1000
        return [
            *kept,
            (b"content-type", content_type),
            (b"openai-version", b"2020-10-01"),
            (b"openai-processing-ms", b"%d" % spent),
        ]

    async def refuse(self, error: Exception) -> None:
        """Every refusal and every crash, in OpenAI's shape."""
        if isinstance(error, _TooLarge):
            text = f"The body is larger than {MOST_BYTES} bytes."
            body = manners.error_body(text, status=413, code="request_too_large")
            await self.answer(413, body, more=[(b"connection", b"close")])
            return
        if isinstance(error, Turned):
            await self.answer(error.status, error.body, like=error.headers)
            return
        found = manners.refuse(error, {"view": self.path})
        more = [(name.encode(), value.encode()) for name, value in found.headers.items()
                if name.lower() != "content-type"]  # fmt: skip
        await self.answer(found.status_code, found.data, more=more)


class _TooLarge(Exception):
    """The body is larger than MOST_BYTES."""


async def with_rows(work: Callable[[], Any]) -> Any:
    """Run what reads or writes rows, in a thread."""

    def run() -> Any:
        close_old_connections()
        try:
            return work()
        finally:
            close_old_connections()

    return await asyncio.to_thread(run)
