"""PostgreSQL has few connections: many who ask at once, or listen, leave some to others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import psycopg
import pytest
import servers
from django.db.utils import ConnectionHandler
from door_world import Door, running_door, until

from slipway.core import tenants
from slipway.core.postgres import base
from slipway.core.postgres.base import KEPT, KEPT_FOR, Shelf
from slipway.core.turns import AT_ONCE, Turns
from slipway.settings import _database

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
    until("connections to be given back", lambda: held(url) <= KEPT + 3)


def test_who_listens_holds_no_connection_and_no_turn(few: tuple[Door, str]) -> None:
    door, url = few
    with client_of(door) as client, ExitStack() as listening:
        for _ in range(MOST):
            stream = listening.enter_context(client.stream("GET", "changes"))
            assert stream.status_code == 200
            assert next(stream.iter_bytes()).startswith(b"data: ")
        assert held(url) <= KEPT + 6
        assert client.get("jobs").status_code == 200


def test_connections_outlive_requests_and_a_database_that_ends_them_is_not_noticed(
    few: tuple[Door, str],
) -> None:
    door, url = few
    begun = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    with client_of(door) as client, psycopg.connect(url, autocommit=True) as looking:

        def pids() -> set[int]:
            return {row[0] for row in looking.execute(begun)}

        assert client.get("jobs").status_code == 200
        until("a connection to be kept", pids)
        before = pids()
        for _ in range(20):
            assert client.get("jobs").status_code == 200
        # One may still be on its way back when the next request asks.
        assert len(pids() - before) < 10
        looking.execute(begun.replace("pid", "pg_terminate_backend(pid)", 1))
        assert [client.get("jobs").status_code for _ in range(KEPT)] == [200] * KEPT


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any) -> Iterator[Shelf]:
    """The shelf of this process, with room for one."""
    monkeypatch.setattr(base, "shelf", shelf := Shelf())
    shelf.most = 1
    with django_db_blocker.unblock():
        yield shelf
    shelf.most = 0
    while kept := shelf.take():
        kept.close()


def own(url: str) -> Any:
    """Django's connection to a database, as a request's thread has one."""
    return ConnectionHandler({"default": _database(url)})["default"]


def about(connection: Any) -> tuple[int, str]:
    """The server's process, and the organisation it shows rows of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_setting(%s, true)", [tenants.VARIABLE])
        pid, organisation = cursor.fetchone()
    return pid, organisation or ""


def test_a_kept_connection_has_forgotten_whom_it_served(
    few: tuple[Door, str], shelf: Shelf
) -> None:
    first, second = own(few[1]), own(few[1])
    with first.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, 'acme', false)", [tenants.VARIABLE])
    pid, organisation = about(first)
    assert organisation == "acme"
    first.close()
    assert about(second) == (pid, "")
    # In the middle of a transaction, or broken: such a one serves nobody any more.
    second.set_autocommit(False)
    assert about(second) == (pid, "")
    second.close()
    until("its end", lambda: shelf.take() is None)
    assert about(first)[0] != pid
    first.close()


def test_what_is_kept_too_long_or_beyond_the_number_is_closed(
    few: tuple[Door, str], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [own(few[1]), own(few[1])]
    (kept, _), (extra, _) = (about(each) for each in both)
    raw = [each.connection for each in both]
    for each in both:
        each.close()
    assert [each.closed for each in raw] == [False, True]
    now = time.monotonic()
    monkeypatch.setattr(base.time, "monotonic", lambda: now + KEPT_FOR + 1)
    assert shelf.take() is None
    assert raw[0].closed
    assert kept != extra


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
