"""What the gateway makes of engines, clients and disks that fail: never a silent end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateway_world import (
    SECRET,
    Engine,
    Exchange,
    World,
    answer_well,
    completion_of,
    wait_until,
    world,
)

from slipway.gateway.patience import Timeouts
from slipway.gateway.spool import Spool, SpoolFull
from slipway.gateway.sse import Events
from slipway_contracts.usage import UsageLine

ASK = [{"role": "user", "content": "hello"}]
FAST = Timeouts(connect=1, first_byte=0.6, idle=0.6, total=3, hold=2, keep=5, tick=0.1)


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with world(timeouts=FAST) as made:
        yield made


@pytest.fixture
def gw(shared: World) -> World:
    shared.engine.script = answer_well
    shared.routes = {("p1", "m"): shared.route()}
    shared.gateway.snapshots.current = shared.load()
    return shared


@pytest.fixture
def client(gw: World) -> openai.OpenAI:
    return openai.OpenAI(base_url=gw.url, api_key=SECRET, max_retries=0, http_client=gw.http)


def ask(gw: World, *, stream: bool = False) -> httpx.Response:
    return gw.http.post(
        f"{gw.url}/chat/completions",
        json={"model": "m", "messages": ASK, "stream": stream},
        headers={"authorization": f"Bearer {SECRET}"},
    )


def last_event(response: httpx.Response) -> dict[str, object]:
    return json.loads(response.text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]


# Engines that fail before the first byte: a status


async def _hang(exchange: Exchange) -> None:
    await asyncio.sleep(30)


async def _garbage(exchange: Exchange) -> None:
    await exchange.raw(b"\x00\x01\x02 what is this\r\n\r\n")


async def _no_framing(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}")


async def _two_lengths(exchange: Exchange) -> None:
    await exchange.raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    )


async def _continue(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
    await answer_well(exchange)


async def _endless_headers(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000 + b"\r\n\r\n")


async def _not_json(exchange: Exchange) -> None:
    await exchange.whole(b"<html>oops</html>")


async def _impossible_usage(exchange: Exchange) -> None:
    await exchange.whole(completion_of("m", "x", -1, 5))


async def _die(exchange: Exchange) -> None:
    exchange.writer.transport.abort()


async def _die_inside(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{")
    exchange.writer.transport.abort()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (_hang, 504, "timeout"),
        (_garbage, 502, "bad_upstream_answer"),
        (_no_framing, 502, "bad_upstream_answer"),
        (_two_lengths, 502, "bad_upstream_answer"),
        (_continue, 502, "bad_upstream_answer"),
        (_endless_headers, 502, "bad_upstream_answer"),
        (_not_json, 502, "bad_upstream_answer"),
        (_die, 502, "bad_upstream_answer"),
        (_die_inside, 502, "bad_upstream_answer"),
    ],
)
def test_an_engine_that_fails_first_thing_is_a_status(
    gw: World, script: object, status: int, code: str, stream: bool
) -> None:
    gw.engine.script = script  # type: ignore[assignment]
    response = ask(gw, stream=stream)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert (error["code"], error["type"]) == (code, "server_error")
    record = gw.records()[-1]
    assert record["request_id"] == response.headers["x-request-id"]
    assert (record["status"], record["completion_tokens"]) == (status, 0)
    assert gw.gateway.gate.lanes.in_flight(record["deployment_id"]) == 0


def test_usage_that_cannot_be_is_not_passed_on(gw: World) -> None:
    gw.engine.script = _impossible_usage
    assert ask(gw).status_code == 502


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_an_engines_own_refusal_keeps_its_status_and_shape(
    gw: World, status: int, stream: bool
) -> None:
    async def refuse(exchange: Exchange) -> None:
        error = {"message": "too long", "code": "context_length_exceeded", "param": "messages"}
        await exchange.whole({"error": error}, status=status)

    gw.engine.script = refuse
    response = ask(gw, stream=stream)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["message"], error["code"]) == ("too long", "context_length_exceeded")
    assert ("retry-after" in response.headers) == (status in {429, 503})


def test_an_engine_that_does_not_know_us_is_our_fault_not_the_clients(gw: World) -> None:
    async def unauthorized(exchange: Exchange) -> None:
        await exchange.whole(b"no", status=401)

    gw.engine.script = unauthorized
    response = ask(gw)
    assert response.status_code == 502
    assert "answered 401: no" in response.json()["error"]["message"]


def test_an_error_as_first_event_is_still_a_status(gw: World) -> None:
    async def fail(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event({"error": {"message": "no memory", "type": "server_error"}})
        await exchange.raw(b"0\r\n\r\n")

    gw.engine.script = fail
    response = ask(gw, stream=True)
    assert response.status_code == 500
    assert response.json()["error"]["message"] == "no memory"


# Engines that fail after it: an event


async def _cut(exchange: Exchange) -> None:
    await exchange.begin()
    for text in "abc":
        await exchange.token(text)
    await asyncio.sleep(0.1)
    exchange.writer.transport.abort()


async def _stall(exchange: Exchange) -> None:
    await exchange.begin("x-prompt-tokens: 42\r\n")
    for text in "abc":
        await exchange.token(text)
    await asyncio.sleep(30)


async def _no_done(exchange: Exchange) -> None:
    await exchange.begin()
    for text in "abc":
        await exchange.token(text)
    await exchange.raw(b"0\r\n\r\n")


async def _bad_chunk(exchange: Exchange) -> None:
    await exchange.begin()
    for text in "abc":
        await exchange.token(text)
    await asyncio.sleep(0.1)
    await exchange.raw(b"zz\r\nnonsense\r\n")


async def _error_event(exchange: Exchange) -> None:
    await exchange.begin()
    for text in "abc":
        await exchange.token(text)
    await asyncio.sleep(0.1)
    await exchange.event({"error": {"message": "the replica broke", "code": None}})
    await exchange.raw(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "status", "says"),
    [
        (_cut, 502, "hung up"),
        (_stall, 504, "stopped for 0.6 s"),
        (_no_done, 502, "without [DONE]"),
        (_bad_chunk, 502, "broke HTTP/1.1"),
        (_error_event, 500, "the replica broke"),
    ],
)
def test_an_engine_that_fails_in_the_middle_is_an_event(
    gw: World, client: openai.OpenAI, script: object, status: int, says: str
) -> None:
    gw.engine.script = script  # type: ignore[assignment]
    got = []

    def read() -> None:
        for chunk in client.chat.completions.create(model="m", messages=ASK, stream=True):  # type: ignore[call-overload]
            got.append(chunk.choices[0].delta.content)

    with pytest.raises(openai.APIError, match=re.escape(says)) as caught:
        read()
    assert got == list("abc")
    assert not isinstance(caught.value, openai.APIConnectionError)
    record = gw.records()[-1]
    assert (record["status"], record["completion_tokens"]) == (status, 3)
    assert record["estimated"] is True
    # What the engine told, or a quarter of the 36 bytes the messages came in.
    assert record["prompt_tokens"] == (42 if script is _stall else 9)


def test_an_answer_without_end_has_an_end(gw: World) -> None:
    async def drip(exchange: Exchange) -> None:
        await exchange.begin()
        while True:
            await exchange.token("x")
            await asyncio.sleep(0.1)

    gw.engine.script = drip
    began = time.monotonic()
    response = ask(gw, stream=True)
    assert 2.5 < time.monotonic() - began < 6
    assert last_event(response)["code"] == "timeout"
    assert gw.records()[-1]["status"] == 504


def _answer(text: str, request_id: str) -> bytes:
    body = json.dumps(completion_of("m", text, 1, 1)).encode()
    head = f"HTTP/1.1 200 OK\r\nx-request-id: {request_id}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _id_of(exchange: Exchange) -> str:
    return exchange.head.split(b"x-request-id: ")[1].split(b"\r\n")[0].decode()


def test_a_second_answer_never_reaches_the_next_client(gw: World) -> None:
    async def at_once(exchange: Exchange) -> None:
        request_id = _id_of(exchange)
        await exchange.raw(_answer("good", request_id) + _answer("evil", request_id))

    async def late(exchange: Exchange) -> None:
        await exchange.raw(_answer("good", _id_of(exchange)))
        if len(gw.engine.exchanges) - before == 1:
            await asyncio.sleep(0.3)
            await exchange.raw(_answer("evil", _id_of(exchange)))

    gw.engine.script = at_once
    for _ in range(5):
        assert ask(gw).json()["choices"][0]["message"]["content"] == "good"
    # The engine answers twice, the second time when the connection has been used again.
    gw.engine.script = late
    before = len(gw.engine.exchanges)
    answers = []
    end = time.monotonic() + 1
    while time.monotonic() < end:
        answers.append(ask(gw))
    assert "evil" not in "".join(answer.text for answer in answers)
    assert sum(answer.status_code != 200 for answer in answers) <= 1


# Replicas that come and go


def test_a_replica_that_is_gone_is_replaced_by_the_other(gw: World) -> None:
    other = Engine(gw.folder, "other")
    try:
        gone = f"unix:{gw.folder}/nobody.sock"
        gw.routes = {("p1", "m"): gw.route(endpoints=(gone, other.address))}
        gw.gateway.snapshots.current = gw.load()
        assert [ask(gw).status_code for _ in range(4)] == [200] * 4
        assert len(other.exchanges) == 4
    finally:
        other.close()


def test_a_replica_that_dies_under_a_request_loses_none(gw: World) -> None:
    other = Engine(gw.folder, "second")
    try:
        gw.engine.script = _die
        endpoints = (gw.engine.address, other.address)
        gw.routes = {("p1", "m"): gw.route(endpoints=endpoints)}
        gw.gateway.snapshots.current = gw.load()
        for stream in (False, True) * 3:
            response = ask(gw, stream=stream)
            assert response.status_code == 200
        assert len(other.exchanges) == 6
    finally:
        other.close()


def test_a_request_that_kills_engines_is_not_given_to_all_of_them(gw: World) -> None:
    gw.engine.script = _die
    before = len(gw.engine.exchanges)
    assert ask(gw).status_code == 502
    assert len(gw.engine.exchanges) - before <= 3


def test_a_request_waits_for_a_replica_that_heals_and_names_its_version(gw: World) -> None:
    reborn = Engine(gw.folder, "reborn")
    try:
        gw.routes = {("p1", "m"): gw.route(endpoints=(), state="unhealthy", reason="it crashed")}
        gw.gateway.snapshots.current = gw.load()
        healed = gw.route(endpoints=(reborn.address,), version_id="healed")

        def heal() -> None:
            gw.routes = {("p1", "m"): healed}

        timer = threading.Timer(0.8, heal)
        timer.start()
        began = time.monotonic()
        response = ask(gw, stream=True)
        timer.join()
        assert response.status_code == 200
        assert 0.7 < time.monotonic() - began < 1.9
        assert gw.records()[-1]["version_id"] == "healed"
    finally:
        reborn.close()


def test_a_request_that_waited_in_vain_is_told_why(gw: World) -> None:
    gw.routes = {("p1", "m"): gw.route(endpoints=(), state="unhealthy", reason="out of memory")}
    gw.gateway.snapshots.current = gw.load()
    response = ask(gw)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert "out of memory" in response.json()["error"]["message"]


def test_an_engine_that_dropped_idle_connections_is_simply_asked_again(gw: World) -> None:
    assert ask(gw).status_code == 200
    gw.engine.die()
    gw.engine.path.unlink(missing_ok=True)
    gw.engine.start()
    assert ask(gw).status_code == 200


# Clients that go away or do not read


def test_a_client_that_leaves_a_stream_stops_the_engine_and_is_charged(gw: World) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.begin("x-prompt-tokens: 9\r\n")
        while True:
            await exchange.token("x")
            await asyncio.sleep(0.02)

    gw.engine.script = endless
    hung_up = len(gw.engine.hung_up)
    with openai.OpenAI(base_url=gw.url, api_key=SECRET, max_retries=0) as client:
        stream = client.chat.completions.create(model="m", messages=ASK, stream=True)  # type: ignore[call-overload]
        for _ in range(10):
            next(stream)
        left_at = time.monotonic()
        stream.close()
    wait_until(lambda: len(gw.engine.hung_up) > hung_up)
    assert gw.engine.hung_up[-1] - left_at < 1.0
    record = wait_until(lambda: gw.records()[-1]["status"] == 499 and gw.records()[-1])
    assert 10 <= record["completion_tokens"] < 40
    assert (record["prompt_tokens"], record["estimated"]) == (9, True)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_before_the_first_byte_stops_the_engine(
    gw: World, stream: bool
) -> None:
    gw.engine.script = _hang
    hung_up, begun = len(gw.engine.hung_up), len(gw.engine.exchanges)
    body = json.dumps({"model": "m", "messages": ASK, "stream": stream})
    with socket.create_connection(("127.0.0.1", gw.port)) as link:
        link.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )
        wait_until(lambda: len(gw.engine.exchanges) > begun)
    left_at = time.monotonic()
    wait_until(lambda: len(gw.engine.hung_up) > hung_up)
    assert gw.engine.hung_up[-1] - left_at < 1.0
    record = wait_until(lambda: gw.records()[-1]["status"] == 499 and gw.records()[-1])
    assert (record["prompt_tokens"], record["completion_tokens"]) == (0, 0)


def test_a_client_that_does_not_read_holds_the_engine_back_not_our_memory(gw: World) -> None:
    sent: list[int] = []

    async def flood(exchange: Exchange) -> None:
        await exchange.begin()
        while exchange.sent < 200_000_000:
            await exchange.token("x" * 30_000)
            sent.append(exchange.sent)

    gw.engine.script = flood
    body = json.dumps({"model": "m", "messages": ASK, "stream": True})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with socket.create_connection(("127.0.0.1", gw.port)) as link:
        link.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )
        time.sleep(1.5)
        stopped_at = sent[-1]
        assert stopped_at < 20_000_000, "nobody held the engine back"
        # The total time ends it, though the client never reads.
        wait_until(lambda: gw.records()[-1]["status"] == 504, seconds=6)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 30_000


@pytest.mark.parametrize(
    "event",
    [
        b"{oops",
        b"[1]",
        b'{"id":"x"}',
        b'{"choices":[{"index":0}]}',
        b'{"choices":[{"delta":{}}]} x',
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_event_that_is_no_piece_of_a_completion_ends_the_stream(
    gw: World, event: bytes, first: bool
) -> None:
    async def odd(exchange: Exchange) -> None:
        await exchange.begin()
        if not first:
            await exchange.token("a")
        await exchange.chunk(b"data: " + event + b"\n\n")
        await exchange.end()

    gw.engine.script = odd
    answer = ask(gw, stream=True)
    assert b"[DONE]" not in answer.content
    if first:
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "bad_upstream_answer")
    else:
        assert last_event(answer)["code"] == "bad_upstream_answer"
    wait_until(lambda: gw.records()[-1]["status"] == 502)


@pytest.mark.parametrize(
    "answer",
    [{"id": "x", "usage": {"prompt_tokens": 1}}, {"choices": [{"index": 0}]}, {"choices": []}],
)
def test_an_answer_that_is_no_completion_is_not_passed_on(gw: World, answer: Any) -> None:
    async def odd(exchange: Exchange) -> None:
        await exchange.whole(answer)

    gw.engine.script = odd
    got = ask(gw)
    assert (got.status_code, got.json()["error"]["code"]) == (502, "bad_upstream_answer")


@pytest.mark.parametrize("stream", [True, False])
def test_what_an_engine_did_not_count_is_estimated_by_its_length(gw: World, stream: bool) -> None:
    async def long(exchange: Exchange) -> None:
        if not exchange.asked.get("stream"):
            found = completion_of("m", "word " * 2_000, 1, 1)
            await exchange.whole({key: found[key] for key in found if key != "usage"})
            return
        await exchange.begin()
        for _ in range(2):
            await exchange.token("word " * 1_000)
        await exchange.end()

    gw.engine.script = long
    assert ask(gw, stream=stream).status_code == 200
    record = gw.records()[-1]
    assert record["estimated"]
    assert 2_000 <= record["completion_tokens"] <= 3_000


# The spool


def line(number: int) -> UsageLine:
    return UsageLine(
        request_id=f"req_{number}",
        at=1.0,
        project_id="p",
        key_id="k",
        deployment_id="d",
        version_id="v",
        model="m",
        endpoint="/v1/completions",
        status=200,
        stream=False,
        prompt_tokens=1,
        completion_tokens=1,
        estimated=False,
        latency_ms=1.0,
        first_byte_ms=None,
    )


def test_a_spool_file_is_rotated_by_size_and_given_up_at_the_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path, rotate_bytes=1000, sync_seconds=0.01)
    spool.start()
    for number in range(50):
        spool.write(line(number))
        time.sleep(0.002)
    spool.stop()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 3
    assert {path.suffix for path in files} == {".jsonl"}
    found = [json.loads(text) for path in files for text in path.read_text().splitlines()]
    assert [record["request_id"] for record in found] == [f"req_{n}" for n in range(50)]


def test_a_disk_that_is_full_takes_no_half_record(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.write(line(1))
    (path,) = tmp_path.iterdir()
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
    try:
        with pytest.raises(SpoolFull):
            spool.write(line(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.stat().st_size == size
    spool.write(line(3))
    spool.stop()
    assert [json.loads(text)["request_id"] for text in path.read_text().splitlines()] == [
        "req_1",
        "req_3",
    ]


def test_an_answer_that_cannot_be_written_up_is_not_given_out(
    gw: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise SpoolFull("no space left on device")

    monkeypatch.setattr(gw.gateway.spool, "write", full)
    response = ask(gw)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "usage_not_recorded")
    assert "choices" not in response.json()
    streamed = ask(gw, stream=True)
    assert "[DONE]" not in streamed.text
    assert "usage_not_recorded" in streamed.text


def test_killed_in_the_middle_everything_acknowledged_is_on_disk(gw: World, tmp_path: Path) -> None:
    """SIGKILL to a server under load: the spool holds every answer that a client saw the end of."""

    async def slowly(exchange: Exchange) -> None:
        await exchange.begin()
        for text in "abcde":
            await exchange.token(text)
            await asyncio.sleep(0.01)
        await exchange.usage(7, 5)
        await exchange.end()

    gw.engine.script = slowly
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spool = tmp_path / "spool"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "ENGINE": gw.engine.address,
        "SPOOL": str(spool),
    }
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "gateway_process:app", "--port", str(port)),
            *("--log-level", "error", "--interface", "asgi3", "--http", "gateway_process:Protocol"),
        ],
        env=environment,
        cwd=Path(__file__).parent,
    )
    seen: set[str] = set()
    try:
        url = f"http://127.0.0.1:{port}/v1"

        def up() -> bool:
            try:
                return httpx.get(f"{url}/models").status_code == 401
            except httpx.TransportError:
                return False

        wait_until(up, seconds=20)

        async def one(http: httpx.AsyncClient) -> None:
            body = {"model": "m", "messages": ASK, "stream": True}
            while True:
                async with http.stream("POST", f"{url}/chat/completions", json=body) as response:
                    text = b"".join([piece async for piece in response.aiter_bytes()])
                if text.endswith(b"data: [DONE]\n\n"):
                    seen.add(response.headers["x-request-id"])

        async def load() -> None:
            headers = {"authorization": f"Bearer {SECRET}"}
            async with httpx.AsyncClient(headers=headers, timeout=10) as http:
                work = [asyncio.ensure_future(one(http)) for _ in range(16)]
                while len(seen) <= 50:
                    await asyncio.sleep(0.02)
                server.send_signal(signal.SIGKILL)
                await asyncio.gather(*work, return_exceptions=True)

        asyncio.run(load())
    finally:
        server.kill()
        server.wait()
    (path,) = spool.glob("*.jsonl")
    written = [json.loads(text) for text in path.read_text().splitlines()]
    assert len(seen) > 50
    assert seen <= {record["request_id"] for record in written}
    assert len({record["request_id"] for record in written}) == len(written)
    assert {(r["prompt_tokens"], r["completion_tokens"]) for r in written} == {(7, 5)}


@pytest.mark.parametrize("before", [b"event: chunk\n", b"id: 7\r\n", b": note\n", b"retry: 1\n"])
def test_events_with_other_fields_are_read_as_any(before: bytes) -> None:
    events = Events(keep_usage=True)
    piece = before + b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    assert events.feed(piece) == piece
    assert events.sent[0] == 1
    events.feed(before + b'data: {"choices":[],\ndata: "usage":{"prompt_tokens":3,'
                b'"completion_tokens":4}}\n\n')  # fmt: skip
    assert events.usage is not None
    assert events.usage.completion_tokens == 4
    assert events.feed(before + b"data: [DONE]\n\n") == b""
    assert events.done
