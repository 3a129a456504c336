"""The gateway under many requests at once: nothing leaks, nothing piles up, all are told."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_world import SECRET, Exchange, World, answer_well, wait_until, world

from slipway.gateway import server
from slipway.gateway.patience import Timeouts

ASK = [{"role": "user", "content": "hello"}]
FAST = Timeouts(connect=1, first_byte=5, idle=5, total=20, keep=5, tick=0.05, heartbeat=0.3)
STREAM_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with world(timeouts=FAST) as made:
        yield made


@pytest.fixture
def gw(shared: World) -> World:
    shared.engine.script = answer_well
    return shared


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def request(*, stream: bool, pad: str = "") -> bytes:
    body = json.dumps({"model": "m", "messages": ASK, "stream": stream, "user": pad})
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    if b"transfer-encoding" in head:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return status, body
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.startswith(b"content-length")
    )
    return status, await reader.readexactly(length)


def test_ten_thousand_requests_leave_no_descriptor_and_no_record_behind(gw: World) -> None:
    async def client(count: int) -> set[int]:
        seen = set()
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        for number in range(count):
            # Now and then one goes away in the middle, and comes back on a new connection.
            writer.write(request(stream=number % 10 == 0))
            if number % 100 == 99:
                writer.transport.abort()
                reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
                continue
            seen.add((await answer_of(reader))[0])
        writer.close()
        await writer.wait_closed()
        return seen

    async def story(clients: int, each: int) -> set[int]:
        found = await asyncio.gather(*(client(each) for _ in range(clients)))
        return set().union(*found)

    asyncio.run(story(20, 5))
    wait_until(lambda: not gw.gateway.watched)
    before, written = descriptors(), len(gw.records())
    assert asyncio.run(story(20, 500)) == {200}
    wait_until(lambda: not gw.gateway.watched and not gw.gateway._running)
    wait_until(lambda: descriptors() <= before + 25)
    # One for each that arrived: of those that went away at once some never did.
    assert 9_900 <= len(gw.records()) - written <= 10_000


def test_a_client_that_reads_a_byte_now_and_then_costs_no_more_than_its_stream(gw: World) -> None:
    async def flood(exchange: Exchange) -> None:
        await exchange.begin()
        while exchange.sent < 30_000_000:
            await exchange.token("x" * 3_000)

    gw.engine.script = flood
    most = 0
    with socket.create_connection(("127.0.0.1", gw.port)) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.sendall(request(stream=True))
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            link.recv(1)
            (door,) = gw.gateway.watched
            (upstream,) = gw.gateway._parts.upstreams._home  # type: ignore[union-attr]
            waiting = door.transport.get_write_buffer_size()  # type: ignore[attr-defined]
            most = max(most, waiting + upstream.buffered)
            time.sleep(0.001)
    assert server.WRITE_BYTES < most <= STREAM_BYTES
    wait_until(lambda: gw.records()[-1]["status"] == 499)
    record = gw.records()[-1]
    assert record["estimated"]
    assert record["completion_tokens"] > 0


def test_an_engine_killed_under_a_hundred_streams_is_told_to_all_of_them(gw: World) -> None:
    async def drip(exchange: Exchange) -> None:
        await exchange.begin("x-prompt-tokens: 3\r\n")
        while True:
            await exchange.token("x")
            await asyncio.sleep(0.05)

    gw.engine.script = drip
    before, begun = len(gw.records()), len(gw.engine.exchanges)

    async def one() -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(request(stream=True))
        try:
            return await answer_of(reader)
        finally:
            writer.close()

    async def story() -> list[tuple[int, bytes]]:
        work = [asyncio.ensure_future(one()) for _ in range(100)]
        while len(gw.engine.exchanges) < begun + 100:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(gw.engine.die)
        return await asyncio.wait_for(asyncio.gather(*work), 5)

    answers = asyncio.run(story())
    gw.engine.path.unlink(missing_ok=True)
    gw.engine.start()
    counted = []
    for status, body in answers:
        events = body.decode().strip().split("\n\n")
        assert status == 200
        assert "hung up before the end" in events[-1]
        counted.append(sum('"content"' in event for event in events[:-1]))
    records = gw.records()[before:]
    assert [record["status"] for record in records] == [502] * 100
    # Exactly what each client saw, though nobody said how much it was.
    assert sorted(record["completion_tokens"] for record in records) == sorted(counted)
    assert {record["prompt_tokens"] for record in records} == {3}


def test_a_silent_stream_says_that_it_lives_and_an_early_error_is_still_a_status(gw: World) -> None:
    async def late(exchange: Exchange) -> None:
        await exchange.begin()
        await asyncio.sleep(0.8)
        await answer_well_after_begin(exchange)

    async def answer_well_after_begin(exchange: Exchange) -> None:
        await exchange.token("a")
        await asyncio.sleep(0.5)
        await exchange.token("b")
        await exchange.usage(7, 2)
        await exchange.end()

    async def early(exchange: Exchange) -> None:
        await asyncio.sleep(0.1)
        await exchange.whole({"error": {"message": "too long"}}, status=400)

    async def late_error(exchange: Exchange) -> None:
        await asyncio.sleep(0.6)
        await exchange.whole({"error": {"message": "too long"}}, status=400)

    def ask() -> tuple[int, list[str]]:
        answer = gw.http.post(
            f"{gw.url}/chat/completions",
            json={"model": "m", "messages": ASK, "stream": True},
            headers={"authorization": f"Bearer {SECRET}"},
        )
        return answer.status_code, answer.text.strip().split("\n\n")

    gw.engine.script = late
    status, events = ask()
    assert status == 200
    assert [event for event in events if event.startswith(":")] >= [": waiting"] * 2
    assert [event[:5] for event in events if not event.startswith(":")] == ["data:"] * 3
    assert events[0] == ": waiting"
    assert gw.records()[-1]["completion_tokens"] == 2
    assert gw.records()[-1]["first_byte_ms"] > 700
    gw.engine.script = early
    assert ask()[0] == 400
    gw.engine.script = late_error
    status, events = ask()
    assert (status, events[0]) == (200, ": waiting")
    assert "too long" in events[-1]
    assert gw.records()[-1]["status"] == 400


def test_requests_one_behind_the_other_are_answered_in_turn(gw: World) -> None:
    async def echo(exchange: Exchange) -> None:
        await asyncio.sleep(0.02)
        said = {"choices": [{"text": exchange.asked["user"]}]}
        await exchange.whole({"usage": None, "said": exchange.asked["user"]} | said)

    gw.engine.script = echo

    async def story() -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        # Some that are uvicorn's among ours, and all of it in pieces.
        other = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n\r\n"
        data = b"".join(
            request(stream=False, pad=str(n)) + (other.encode() if n % 5 == 0 else b"")
            for n in range(20)
        )
        for at in range(0, len(data), 700):
            writer.write(data[at : at + 700])
            await asyncio.sleep(0.001)
        got = []
        for _ in range(24):
            status, body = await answer_of(reader)
            assert status == 200
            got.append(json.loads(body).get("said", "models"))
        writer.close()
        return got

    wanted = [said for n in range(20) for said in ([str(n), "models"] if n % 5 == 0 else [str(n)])]
    assert asyncio.run(story()) == wanted


def test_an_old_client_gets_a_stream_without_chunks(gw: World) -> None:
    old = request(stream=True).replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = gw.talk(old)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body.startswith(b"data: ")
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_body_is_asked_for_before_it_is_sent(gw: World) -> None:
    data = request(stream=False)
    head, _, body = data.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", gw.port), timeout=5) as link:
        link.sendall(head + b"\r\nexpect: 100-continue\r\n\r\n")
        assert link.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(body)
        assert link.recv(4000).startswith(b"HTTP/1.1 200 OK")


def test_who_sends_nothing_more_is_let_go(gw: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(server, "LINGER_SECONDS", 0.2)
    for part, data in (("head", b"POST /v1/chat/comp"), ("body", request(stream=False)[:-5])):
        answer = gw.talk(data, seconds=3)
        assert answer.startswith(b"HTTP/1.1 408")
        assert f"{part}_timeout".encode() in answer
    assert not gw.gateway._running
