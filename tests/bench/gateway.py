"""What the gateway costs: its CPU time per request and per streamed chunk, and the latency it adds.

    python tests/bench/gateway.py [--seconds 4] [--rounds 3] [--requests-at 32] [--streams 60]

An upstream of fixed answers listens on a Unix socket, in its own process; the same load goes to it
directly and through the gateway (uvicorn, one process, all features), alternating. CPU is user and
system time of the serving process divided by what it finished; nothing but good answers may come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

HERE = Path(__file__).resolve().parent
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
    """Answers each request with the same bytes, streams one chunk every CHUNK_GAP seconds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.got = b""

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, blank, body = self.got.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) if blank else 1
        if not blank or len(body) < length:
            return
        self.got = b""
        if b'"stream":true' in body:
            self.transport.write(HEAD)
            self._stream(CHUNKS)
        else:
            self.transport.write(WHOLE)

    def _stream(self, left: int) -> None:
        if left:
            self.transport.write(chunk(EVENT))
            asyncio.get_running_loop().call_later(CHUNK_GAP, self._stream, left - 1)
        else:
            self.transport.write(chunk(USAGE) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


async def serve(path: str) -> None:
    await (await asyncio.get_running_loop().create_unix_server(Upstream, path)).serve_forever()


class Client(asyncio.Protocol):
    """Asks again as soon as it has the whole answer, until told to stop."""

    def __init__(self, request: bytes, ended: Callable[[bytes], bool]) -> None:
        self.request, self.ended = request, ended
        self.times: list[float] = []
        self.wrong = 0
        self.stopping = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        if self.stopping:
            self.transport.close()
            self.done.set_result(None)
            return
        self.got = bytearray()
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.got += data
        if self.ended(self.got):
            self.times.append(time.perf_counter() - self.began)
            self.wrong += not self.got.startswith(b"HTTP/1.1 200")
            self._ask()


def whole_ended(got: bytes) -> bool:
    return got.endswith(ANSWER)


def stream_ended(got: bytes) -> bool:
    return got.endswith(b"0\r\n\r\n")


def request(*, stream: bool) -> bytes:
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "x" * 700}], "stream": stream},
        separators=(",", ":"),
    ).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: 127.0.0.1",
        "authorization: Bearer sk-slip-one",
        "accept: application/json",
        "content-type: application/json",
        "user-agent: OpenAI/Python 3.54.0",
        *(f"x-stainless-{name}: something" for name in ("lang", "os", "arch", "runtime", "async")),
        f"content-length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(
    connect: Callable[[Callable[[], Client]], object], *, clients: int, seconds: float, stream: bool
) -> list[float]:
    made = [
        Client(request(stream=stream), stream_ended if stream else whole_ended)
        for _ in range(clients)
    ]
    for client in made:
        await connect(lambda client=client: client)  # type: ignore[misc]
    await asyncio.sleep(seconds)
    for client in made:
        client.stopping = True
    await asyncio.wait_for(asyncio.gather(*(client.done for client in made)), 30)
    wrong = sum(client.wrong for client in made)
    if wrong:
        raise SystemExit(f"{wrong} answers were not 200: the figures would mean nothing")
    return sorted(taken for client in made for taken in client.times)


def measure(
    pid: int, connect: object, *, clients: int, seconds: float, stream: bool
) -> dict[str, float]:
    before = cpu_seconds(pid)
    times = uvloop.run(
        load(connect, clients=clients, seconds=seconds, stream=stream)  # type: ignore[arg-type]
    )
    spent = cpu_seconds(pid) - before
    units = len(times) * ((CHUNKS + 1) if stream else 1)
    return {
        "us": spent / units * 1e6,
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[int(len(times) * 0.99)] * 1000,
        "per_second": units / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests-at", type=int, default=32)
    parser.add_argument("--streams", type=int, default=60)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        uvloop.run(serve(given.serve))
        return
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        path = f"{folder}/up.sock"
        paths = [str(HERE.parent), str(HERE.parent.parent / "platform")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "ENGINE": f"unix:{path}",
            "SPOOL": f"{folder}/spool",
        }
        upstream = subprocess.Popen([sys.executable, __file__, "--serve", path], env=environment)
        command = [sys.executable, "-m", "uvicorn", "gateway_process:app", "--port", str(port)]
        options = "--interface asgi3 --loop uvloop --http httptools --ws none --log-level error"
        plain = ["--no-access-log", "--no-proxy-headers"]
        gateway = subprocess.Popen([*command, *options.split(), *plain], env=environment)
        try:
            _wait(port)

            async def direct(make: Callable[[], Client]) -> None:
                await asyncio.get_running_loop().create_unix_connection(make, path)

            async def through(make: Callable[[], Client]) -> None:
                await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)

            for stream, clients in ((False, given.requests_at), (False, 4), (True, given.streams)):
                _compare(
                    f"{clients} streams, per chunk"
                    if stream
                    else f"{clients} clients, per request",
                    [
                        (
                            measure(
                                upstream.pid,
                                direct,
                                clients=clients,
                                seconds=given.seconds,
                                stream=stream,
                            ),
                            measure(
                                gateway.pid,
                                through,
                                clients=clients,
                                seconds=given.seconds,
                                stream=stream,
                            ),
                        )
                        for _ in range(given.rounds)
                    ],
                )
        finally:
            for process in (gateway, upstream):
                process.terminate()
                process.wait()


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the gateway did not come up in 30 s")


def _compare(title: str, rounds: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    print(f"{title}; median of {len(rounds)} rounds (best)")
    for index, name in enumerate(("upstream, direct", "gateway")):
        runs = [pair[index] for pair in rounds]
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(
            f"  {name:17} {middle['us']:7.1f} us CPU ({min(run['us'] for run in runs):.1f})"
            f"   p50 {middle['p50_ms']:8.2f} ms   p99 {middle['p99_ms']:8.2f} ms"
            f"   {middle['per_second']:8.0f}/s"
        )


if __name__ == "__main__":
    main()
