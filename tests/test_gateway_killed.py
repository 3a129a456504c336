"""Processes killed under a hundred streams: nobody hangs, what was sent is in the spool."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_processes import Asker, Processes, running
from gateway_world import wait_until

from slipway.gateway.underway import Underway
from slipway_contracts.usage import UsageLine

STREAMS = 100


@pytest.fixture
def processes() -> Iterator[Processes]:
    with running() as made:
        yield made


async def streams(port: int, kill: subprocess.Popen[bytes]) -> list[Asker]:
    """A hundred at once, of which each has begun when the process is killed."""
    askers = [Asker(port, "for ever") for _ in range(STREAMS)]
    work = [asyncio.ensure_future(asker.run()) for asker in askers]
    while any(asker.events < 3 for asker in askers):
        await asyncio.sleep(0.02)
    kill.send_signal(signal.SIGKILL)
    await asyncio.wait(work, timeout=10)
    return askers


async def served(port: int) -> bool:
    """Whether all of many requests are answered in full."""
    askers = [Asker(port, "") for _ in range(20)]
    await asyncio.wait_for(asyncio.gather(*(asker.run() for asker in askers)), 20)
    return all(b"[DONE]" in asker.got for asker in askers)


def within_a_chunk(processes: Processes, askers: list[Asker]) -> list[str]:
    """Those of which the record says something else than the client saw."""
    records = processes.records()
    return [
        f"{asker.id}: saw {asker.events}, {record}"
        for asker in askers
        if (record := records.get(asker.id)) is None
        or abs(record["completion_tokens"] - asker.events) > 1
    ]


def test_an_engine_killed_under_a_hundred_streams_ends_its_own_and_no_others(
    processes: Processes,
) -> None:
    killed, other = processes.engine("one"), processes.engine("two")
    _, port = processes.gateway("one", "two")

    async def story() -> list[Asker]:
        asked = asyncio.ensure_future(streams(port, killed))
        while killed.poll() is None:
            await asyncio.sleep(0.05)
        # The other replica's streams go on, and it takes all that is asked now.
        assert await served(port)
        assert not asked.done()
        other.send_signal(signal.SIGKILL)
        return await asked

    askers = asyncio.run(story())
    assert all(asker.ended for asker in askers)
    # Each was told: an event with the error, then the proper end.
    assert all(b"hung up before the end" in asker.got for asker in askers)
    assert all(asker.got.endswith(b"0\r\n\r\n") for asker in askers)
    assert within_a_chunk(processes, askers) == []


def test_a_gateway_killed_under_a_hundred_streams_has_them_written_up_by_the_next(
    processes: Processes,
) -> None:
    processes.engine("one")
    gateway, port = processes.gateway("one")
    askers = asyncio.run(streams(port, gateway))
    assert all(asker.ended for asker in askers)
    assert processes.records() == {}
    (left,) = processes.spool.glob("*.slots")
    _, port = processes.gateway("one")
    wait_until(lambda: len(processes.records()) == STREAMS)
    assert within_a_chunk(processes, askers) == []
    assert {record["status"] for record in processes.records().values()} == {499}
    assert {record["estimated"] for record in processes.records().values()} == {True}
    assert not left.exists()
    assert asyncio.run(served(port))
    # What ended well is noted no longer.
    assert len(processes.records()) == STREAMS + 20


def line(number: int) -> UsageLine:
    return UsageLine(
        request_id=f"req_{number}", at=1.0, project_id="p", key_id="k", deployment_id="d",
        version_id="v", model="m", endpoint="/v1/chat/completions", status=499, stream=True,
        prompt_tokens=3, completion_tokens=0, estimated=True, latency_ms=1.0, first_byte_ms=1.0,
    )  # fmt: skip


def test_only_streams_that_have_not_ended_are_left_behind(tmp_path: Path) -> None:
    found: list[UsageLine] = []
    first = Underway(tmp_path)
    first.start(found.append)
    slots = [first.enter(line(number)) for number in range(300)]
    for slot in slots:
        assert slot is not None
        slot.sent[0], slot.sent[1] = 7, 900
    for slot in slots[:298]:
        first.leave(slot)  # type: ignore[arg-type]  # seen above
    again = first.enter(line(1000))
    assert again is not None
    assert again.sent[0] == 0
    other = Underway(tmp_path)
    # While its process lives, they are its own business.
    other.start(found.append)
    assert found == []
    other.stop()
    first.stop()
    third = Underway(tmp_path)
    third.start(found.append)
    counted = {one.request_id: one.completion_tokens for one in found}
    assert counted == {"req_298": 7, "req_299": 7, "req_1000": 0}
    third.stop()
    assert list(tmp_path.iterdir()) == []
