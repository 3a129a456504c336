"""What the gateway's benchmark puts at both ends: an engine of fixed answers, and clients."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

CHUNKS, CHUNK_GAP = 64, 0.01
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n'
)
USAGE = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":64,"total_tokens":73}}\n\n'
)
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "x" * 300},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 64, "total_tokens": 73},
    }
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER,
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """Answers each request with the same bytes after `delay` seconds, streams one chunk every
    CHUNK_GAP seconds; a request with `<hang>` in it is not answered."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.got = b""

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, blank, body = self.got.partition(b"\r\n\r\n")
        _, told, length = head.lower().partition(b"content-length: ")
        # Some gateways send what they ask in chunks; no chunk of theirs ends like the last one.
        if not blank or (
            len(body) < int(length.split(b"\r\n")[0]) if told else not body.endswith(b"0\r\n\r\n")
        ):
            return
        self.got = b""
        if b'"stream":true' in body.replace(b": ", b":"):
            self.transport.write(HEAD)
            self._stream(CHUNKS)
        elif self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._answer)
        elif b"<hang>" not in body:
            self._answer()

    def _answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(WHOLE)

    def _stream(self, left: int) -> None:
        if self.transport.is_closing():
            return
        if left:
            self.transport.write(chunk(EVENT))
            asyncio.get_running_loop().call_later(CHUNK_GAP, self._stream, left - 1)
        else:
            self.transport.write(chunk(USAGE) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


async def serve(path: str, port: int, delay: float) -> None:
    """On a Unix socket and on a port of this machine."""
    loop = asyncio.get_running_loop()
    make = partial(Upstream, delay)
    await loop.create_unix_server(make, path)
    await (await loop.create_server(make, "127.0.0.1", port)).serve_forever()


class Client(asyncio.Protocol):
    """Asks again as soon as it has the whole answer, or every `gap` seconds, until told to stop."""

    def __init__(self, request: bytes, gap: float, first_at: float) -> None:
        self.request, self.gap, self._due = request, gap, first_at
        self.stream = b'"stream":true' in request
        #: Seconds to the end, and to the first byte of the body.
        self.times: list[float] = []
        self.firsts: list[float] = []
        self.wrong: list[bytes] = []
        self.stopping = False
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._next()

    def _next(self) -> None:
        now = time.perf_counter()
        if not self.gap or now >= self._due:
            self._ask()
        else:
            self.loop.call_later(self._due - now, self._ask)

    def _ask(self) -> None:
        if self.stopping:
            self.transport.close()
            self.done.set_result(None)
            return
        self.got = bytearray()
        self._head_end = -1
        # One that comes late was due before: waiting for the one ahead of it counts.
        self.began = self._due if self.gap else time.perf_counter()
        self._due += self.gap
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.got += data
        if self._head_end < 0:
            self._head_end = self.got.find(b"\r\n\r\n")
            if self._head_end < 0:
                return
            length = self.got.lower().find(b"content-length: ", 0, self._head_end)
            self._whole = -1
            if length >= 0:
                told = self.got[length + 16 : self.got.index(b"\r\n", length)]
                self._whole = self._head_end + 4 + int(told)
            self.firsts.append(time.perf_counter() - self.began)
        if len(self.got) == self._whole or (self._whole < 0 and self.got.endswith(b"0\r\n\r\n")):
            self.times.append(time.perf_counter() - self.began)
            good = self.got.startswith(b"HTTP/1.1 200") and (
                b"[DONE]" in self.got if self.stream else b'"usage"' in self.got
            )
            if not good:
                self.wrong.append(bytes(self.got[:300]))
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.wrong.append(b"the connection was closed")
            self.done.set_result(None)


def request(key: str, *, stream: bool, model: str = "m", extra: tuple[str, ...] = ()) -> bytes:
    """About what the `openai` package sends."""
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": "x" * 700}],
        "stream": stream,
    }
    body = json.dumps(asked, separators=(",", ":")).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: 127.0.0.1",
        f"authorization: Bearer {key}",
        "accept: application/json",
        "content-type: application/json",
        "user-agent: OpenAI/Python 3.54.0",
        *(f"x-stainless-{name}: something" for name in ("lang", "os", "arch", "runtime", "async")),
        *extra,
        f"content-length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def load(
    connect: Callable[[Callable[[], Client]], Any],
    asked: bytes,
    *,
    clients: int,
    seconds: float,
    per_second: float = 0,
) -> tuple[list[float], list[float]]:
    """Sorted seconds to the end and to the first byte; `per_second` 0 is as fast as it goes."""
    gap = clients / per_second if per_second else 0.0
    now = time.perf_counter() + 0.05
    made = [Client(asked, gap, now + index * gap / clients) for index in range(clients)]
    for client in made:
        await connect(lambda client=client: client)  # type: ignore[misc]
    await asyncio.sleep(seconds)
    for client in made:
        client.stopping = True
    await asyncio.wait_for(asyncio.gather(*(client.done for client in made)), 60)
    wrong = [got for client in made for got in client.wrong]
    if wrong:
        raise SystemExit(f"{len(wrong)} bad answers: the figures would mean nothing\n{wrong[0]!r}")
    times = sorted(taken for client in made for taken in client.times)
    return times, sorted(taken for client in made for taken in client.firsts)
