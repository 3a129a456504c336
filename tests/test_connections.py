"""PostgreSQL has few connections: many who ask at once, or listen, leave some to others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import psycopg
import pytest
import servers
from door_world import Door, running_door, until

from slipway.core.turns import AT_ONCE, Turns

#: What the server has in all, how many ask at once, and how many requests they make together.
MOST, CLIENTS, REQUESTS = AT_ONCE + 20, 300, 900


@pytest.fixture(scope="module")
def few() -> Iterator[tuple[Door, str]]:
    """A door on a PostgreSQL that has MOST connections, and the address of its database."""
    server = servers.own_postgres(servers.new_folder("postgres-few"))
    url = server.fresh()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET max_connections = {MOST}")
    server.stop()
    server.start()
    with running_door("0", SLIPWAY_DATABASE_URL=url) as door:
        yield door, url


def client_of(door: Door) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{door.port}/api/v1/", timeout=90,
        limits=httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=0),
        headers={"authorization": f"Bearer {door.keys['acme-owner']}"},
    )  # fmt: skip


def held(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
    return int(row[0]) if row else 0


def test_a_burst_of_requests_is_answered_and_gives_its_connections_back(
    few: tuple[Door, str],
) -> None:
    door, url = few
    with client_of(door) as client, ThreadPoolExecutor(CLIENTS) as pool:

        def ask(number: int) -> int:
            return client.get(("jobs", "keys", "datasets", "usage/records")[number % 4]).status_code

        with psycopg.connect(url) as slow:
            # The database is slow for a while: who has a connection keeps it.
            slow.execute("LOCK TABLE training_trainingjob, tenancy_apikey")
            asked = [pool.submit(ask, number) for number in range(REQUESTS)]
            until("as many to wait as may", lambda: held(url) >= AT_ONCE)
            assert held(url) < MOST - 3
        seen = Counter(each.result() for each in asked)
    assert seen == {200: REQUESTS}
    until("connections to be given back", lambda: held(url) <= 3)


def test_who_listens_holds_no_connection_and_no_turn(few: tuple[Door, str]) -> None:
    door, url = few
    with client_of(door) as client, ExitStack() as listening:
        for _ in range(MOST):
            stream = listening.enter_context(client.stream("GET", "changes"))
            assert stream.status_code == 200
            assert next(stream.iter_bytes()).startswith(b"data: ")
        assert held(url) <= 6
        assert client.get("jobs").status_code == 200


def request(turns: Turns, *messages: dict[str, Any]) -> Any:
    """One request whose body comes in these messages; the last one is waited for for ever."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0) if left else await asyncio.Future()

    async def send(_: dict[str, Any]) -> None: ...

    return turns({"type": "http"}, receive, send)


def test_turns_are_taken_by_whole_requests_and_given_back_by_streams_and_failures() -> None:
    whole, part = {"type": "http.request"}, {"type": "http.request", "more_body": True}
    inside: list[str] = []
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        inside.append("in")
        if len(inside) == 1:
            raise ValueError("broken")
        if len(inside) == 2:
            await send({"type": "http.response.body", "more_body": True})
        await go_on.wait()

    async def story() -> None:
        turns = Turns(app, at_once=1)
        slow = asyncio.create_task(request(turns, part))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="broken"):
            await request(turns, whole)
        others = [asyncio.create_task(request(turns, part, whole)) for _ in range(3)]
        for _ in range(20):
            await asyncio.sleep(0)
        # The slow one has no turn; the stream has given its own back; of the others one is in.
        assert len(inside) == 3
        go_on.set()
        await asyncio.gather(*others)
        assert len(inside) == 4
        slow.cancel()

    asyncio.run(story())
