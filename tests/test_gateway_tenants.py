"""One tenant floods, hangs or does not read: it fills its own places, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from gateway_processes import Asker, Processes, running
from gateway_world import NEIGHBOUR_SECRET, NEIGHBOURS_PLACES


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with running() as made:
        made.engine("ours")
        made.engine("theirs")
        yield made


@pytest.fixture(scope="module")
def port(processes: Processes) -> int:
    return processes.gateway("ours", NEIGHBOUR=processes.address("theirs"))[1]


async def answered(port: int, count: int = 40) -> bool:
    """All that another tenant asks, one after the other and many at once."""
    for together in (1, 1, 1, count):
        askers = [Asker(port, "") for _ in range(together)]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in askers)), 20)
        if not all(b"[DONE]" in one.got for one in askers):
            return False
    return True


@pytest.mark.parametrize("what", ["hang", "for ever"])
def test_a_tenant_whose_engine_hangs_or_never_ends_has_its_own_places_only(
    port: int, what: str
) -> None:
    async def story() -> tuple[int, int, bool]:
        askers = [Asker(port, what, NEIGHBOUR_SECRET) for _ in range(4 * NEIGHBOURS_PLACES)]
        work = [asyncio.ensure_future(one.run()) for one in askers]
        while sum(one.got.startswith(b"HTTP/1.1 503") for one in askers) < 3 * NEIGHBOURS_PLACES:
            await asyncio.sleep(0.02)
        good = await answered(port)
        at_work = [one for one in askers if not one.got.startswith(b"HTTP/1.1 503")]
        refused = [one for one in askers if b'"code":"overloaded"' in one.got]
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        return len(at_work), len(refused), good

    assert asyncio.run(story()) == (NEIGHBOURS_PLACES, 3 * NEIGHBOURS_PLACES, True)


def test_a_tenant_that_does_not_read_holds_up_nobody(port: int) -> None:
    async def story() -> bool:
        links = []
        for _ in range(NEIGHBOURS_PLACES // 2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(Asker(port, "for ever", NEIGHBOUR_SECRET).request)
            links.append((reader, writer))
        for reader, _ in links:
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
            # From here on it is not read: the reader takes two kilobytes and pauses.
        good = await answered(port)
        for _, writer in links:
            writer.transport.abort()
        return good

    assert asyncio.run(story())


def test_a_tenant_over_its_limit_is_refused_while_others_are_served(processes: Processes) -> None:
    _, port = processes.gateway(
        "ours", NEIGHBOUR=processes.address("theirs"), NEIGHBOURS_LIMIT="60"
    )

    async def story() -> tuple[set[bytes], bool]:
        over = asyncio.Event()
        seen: set[bytes] = set()

        async def flood() -> None:
            while not over.is_set():
                one = Asker(port, "", NEIGHBOUR_SECRET)
                await one.run()
                seen.add(one.got[:12])

        work = [asyncio.ensure_future(flood()) for _ in range(16)]
        while b"HTTP/1.1 429" not in seen:
            await asyncio.sleep(0.02)
        good = await answered(port)
        over.set()
        await asyncio.gather(*work)
        return seen, good

    assert asyncio.run(story()) == ({b"HTTP/1.1 200", b"HTTP/1.1 429"}, True)
