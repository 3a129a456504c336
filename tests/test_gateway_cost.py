"""What a request and a chunk cost in steps of the interpreter: the same on a loaded machine."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

sys.path.append(str(Path(__file__).parent / "bench"))
from gateway_load import CHUNKS, EVENT, HEAD, USAGE, WHOLE, chunk, request

from slipway.gateway.connection import Connection

#: With limits, a budget and the usage record; some more than it takes now.
REQUEST_STEPS, CHUNK_STEPS = 2_800, 260


class Transport:
    """Takes everything at once."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, _: str) -> None: ...
    def set_write_buffer_limits(self, **_: Any) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None: ...


def steps(work: Callable[[], None]) -> int:
    """Bytecodes that it takes, in code of our own or uvicorn's, after it has run some times."""
    for _ in range(20):
        work()
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename == __file__:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_a_request_and_a_chunk_take_so_many_steps_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE", "unix:/none")
    monkeypatch.setenv("SPOOL", str(tmp_path / "spool"))
    made = importlib.import_module("gateway_process")

    async def story() -> tuple[int, int]:
        config = uvicorn.Config(made.app, http=made.Protocol, interface="asgi3", ws="none")
        config.load()
        await made.gateway.start()
        client, engine = Transport(), Transport()
        door = made.Protocol(config, ServerState(), {})
        door.connection_made(client)
        upstreams = made.gateway._parts.upstreams
        link = Connection(upstreams._inbox, upstreams._loop.time)
        link.connection_made(engine)
        upstreams._choose(("unix:/none",), (), b"").idle.append(link)

        def answer(data: bytes) -> None:
            link.get_buffer(0)[: len(data)] = data
            link.buffer_updated(len(data))

        def whole() -> None:
            door.data_received(request("sk-slip-one", stream=False))
            answer(WHOLE)

        def stream(chunks: int) -> None:
            door.data_received(request("sk-slip-one", stream=True))
            answer(HEAD)
            for _ in range(chunks):
                answer(chunk(EVENT))
            answer(chunk(USAGE) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

        try:
            a_request = steps(whole)
            assert client.sent.count(b"HTTP/1.1 200 OK") == 21
            one, many = steps(lambda: stream(1)), steps(lambda: stream(1 + CHUNKS))
            assert client.sent.count(b"data: [DONE]") == 42
        finally:
            await made.gateway.stop()
        return a_request, (many - one) // CHUNKS

    a_request, a_chunk = asyncio.run(story())
    assert a_request <= REQUEST_STEPS
    assert a_chunk <= CHUNK_STEPS
    assert len(list((tmp_path / "spool").glob("*.jsonl"))) == 1
