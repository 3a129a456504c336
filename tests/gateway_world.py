"""A gateway on a real server, and a scripted engine behind it to force every kind of fault."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from slipway.gateway.asgi import Gateway
from slipway.gateway.facts import Key, Limit, Route, Scope, Snapshot
from slipway.gateway.patience import Timeouts
from slipway.gateway.server import HotProtocol

SECRET, OTHER_SECRET = "sk-slip-one", "sk-slip-two"
#: Another tenant of a gateway process, and how many requests it may have in flight.
NEIGHBOUR_SECRET, NEIGHBOURS_PLACES = "sk-slip-next-door", 64
DEPLOYMENT, VERSION = "d0000000-0000-0000-0000-000000000001", "e0000000-0000-0000-0000-000000000001"


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def wait_until(true: Callable[[], Any], *, seconds: float = 5.0) -> Any:
    """What `true` gives once it is truthy; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s")


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Awaitable[Any], *, seconds: float = 20) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)  # type: ignore[arg-type]

    def close(self) -> None:
        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Exchange:
    """One request as the engine got it, and the means to answer it well or badly."""

    def __init__(
        self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.head, self.body, self.reader, self.writer = head, body, reader, writer
        self.asked: dict[str, Any] = json.loads(body)
        self.sent = 0

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def whole(
        self, answer: dict[str, Any] | bytes, status: int = 200, extra: str = ""
    ) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        head = (
            f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{extra}"
            f"content-length: {len(data)}\r\n\r\n"
        )
        await self.raw(head.encode() + data)

    async def begin(self, extra: str = "") -> None:
        await self.raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n" + extra.encode() + b"\r\n"
        )

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, value: Any) -> None:
        await self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    async def token(self, text: str) -> None:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        await self.event(chunk_of(self.asked["model"], [choice]))

    async def usage(self, prompt: int, completion: int) -> None:
        used = usage_of(prompt, completion)
        await self.event(chunk_of(self.asked["model"], []) | {"usage": used})

    async def end(self) -> None:
        await self.chunk(b"data: [DONE]\n\n")
        await self.raw(b"0\r\n\r\n")


def chunk_of(model: str, choices: list[Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": choices,
    }


def usage_of(prompt: int, completion: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def completion_of(model: str, text: str, prompt: int, completion: int) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage_of(prompt, completion),
    }


async def answer_well(exchange: Exchange) -> None:
    """Five tokens, in a stream or in one piece."""
    if not exchange.asked.get("stream"):
        await exchange.whole(completion_of(exchange.asked["model"], "a b c d e", 7, 5))
        return
    await exchange.begin()
    for text in "abcde":
        await exchange.token(text)
    await exchange.usage(7, 5)
    await exchange.end()


class Engine:
    """Listens on a Unix socket and answers each request by `script`."""

    def __init__(self, folder: Path, name: str = "engine") -> None:
        self.path = folder / f"{name}.sock"
        self.address = f"unix:{self.path}"
        self.script: Callable[[Exchange], Awaitable[None]] = answer_well
        self.exchanges: list[Exchange] = []
        self.connections = 0
        #: Times at which a peer hung up.
        self.hung_up: list[float] = []
        self._loop = Loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.start()

    def start(self) -> None:
        async def listen() -> None:
            self._server = await asyncio.start_unix_server(self._serve, str(self.path))

        self._loop.run(listen())

    def die(self) -> None:
        """As a killed process: every connection drops, and the socket refuses."""

        async def end() -> None:
            assert self._server is not None
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await asyncio.sleep(0.01)

        self._loop.run(end())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                exchange = Exchange(head, await reader.readexactly(length), reader, writer)
                self.exchanges.append(exchange)
                work = asyncio.ensure_future(self.script(exchange))
                # As a real engine does, give up as soon as the asker hangs up.
                gone = asyncio.ensure_future(_hang_up(reader))
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
                # A peer that left shows in whichever looks first: the reading or the next writing.
                if not work.done() or isinstance(work.exception(), ConnectionError):
                    self.hung_up.append(time.monotonic())
                    work.cancel()
                gone.cancel()
                await asyncio.gather(work, gone, return_exceptions=True)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.die()
        self._loop.close()


async def _hang_up(reader: asyncio.StreamReader) -> None:
    # Looks without taking: the next request may already be there.
    while not reader.at_eof() and reader.exception() is None:
        await asyncio.sleep(0.005)


class World:
    """A gateway on a free port with one project, one model, and the engine that answers it."""

    def __init__(self, folder: Path, *, timeouts: Timeouts | None = None, **options: Any) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.engine = Engine(folder)
        self.keys = {
            digest(SECRET): Key(id="k1", project_id="p1"),
            digest(OTHER_SECRET): Key(id="k2", project_id="p2"),
        }
        self.routes = {("p1", "m"): self.route()}
        self.limits: dict[Scope, Limit] = {}
        self.database_is_away = False
        self.loads = 0
        # One client for all: making one reads the certificates of the world.
        self.http = httpx.Client(verify=False, timeout=30)
        self.gateway = Gateway(
            load=self.load, digest=digest, spool=self.spool, timeouts=timeouts, **options
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            loop="uvloop",
            http=type("Protocol", (HotProtocol,), {"core": self.gateway}),
            ws="none",
            lifespan="on",
            log_level="error",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True
        )
        self._thread.start()
        wait_until(lambda: self._server.started)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.gateway.lifespan(receive, send)
        else:
            await self.gateway(scope, receive, send)

    def route(self, **changes: Any) -> Route:
        given = {
            "project_id": "p1",
            "name": "m",
            "deployment_id": DEPLOYMENT,
            "version_id": VERSION,
            "endpoints": (self.engine.address,),
            "state": "live",
            "created_at": 1_700_000_000,
        }
        return Route(**(given | changes))

    def load(self) -> Snapshot:
        self.loads += 1
        if self.database_is_away:
            raise RuntimeError("the database is away")
        return Snapshot(keys=dict(self.keys), routes=dict(self.routes), limits=dict(self.limits))

    def records(self) -> list[dict[str, Any]]:
        """What is in the spool, in the order it was written."""
        return [
            json.loads(line)
            for path in sorted(self.spool.glob("*.jsonl"))
            for line in path.read_text().splitlines()
        ]

    def talk(self, data: bytes, *, seconds: float = 10) -> bytes:
        """Send raw bytes on a new connection; all that comes back until it closes or rests."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as link:
            link.sendall(data)
            link.settimeout(1.0)
            got = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while piece := link.recv(65536):
                    got += piece
            return got

    def close(self) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(15)
        assert not self._thread.is_alive(), "the server does not stop"
        self._listener.close()
        self.engine.close()


@contextlib.contextmanager
def world(**options: Any) -> Iterator[World]:
    # Unix socket paths are short; a test's own folder may not be.
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        made = World(Path(folder), **options)
        try:
            yield made
        finally:
            made.close()
