"""The database is away while chats run: they are answered, and the ledger has them all after.

It is away for some seconds; `AWAY_SECONDS=60 pytest tests/test_door_away.py` makes it a minute.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import pytest
import servers
from door_world import Door, error_of, running_door, until
from gateway_world import answer_well

AWAY_SECONDS = float(os.environ.get("AWAY_SECONDS", "4"))
CLIENTS = 4
SUMS = """SELECT count(*), count(DISTINCT request_id), sum(prompt_tokens), sum(completion_tokens)
FROM metering_usagerecord"""


@dataclass
class Database:
    settings: dict[str, str]
    #: Within it, nothing can be had of the database.
    away: Callable[[Door], contextlib.AbstractContextManager[None]]
    sums: Callable[[Door], tuple[int, ...]]
    #: What is read from it is answered by a refusal meanwhile.
    refuses: bool


def postgresql() -> Database:
    """Stopped and started."""
    import psycopg

    server = servers.own_postgres(servers.new_folder("postgres-away"))
    url = server.fresh()

    @contextlib.contextmanager
    def away(_: Door) -> Iterator[None]:
        # Fast: it does not wait for clients to go.
        server.process.send_signal(signal.SIGINT)
        server.process.wait(60)
        yield
        server.start()

    def sums(_: Door) -> tuple[int, ...]:
        with psycopg.connect(url) as connection:
            return tuple(connection.execute(SUMS).fetchone() or ())

    return Database({"SLIPWAY_DATABASE_URL": url}, away, sums, refuses=True)


def sqlite() -> Database:
    """Held by a writer that does not end; what only reads goes on."""

    @contextlib.contextmanager
    def opened(door: Door) -> Iterator[sqlite3.Connection]:
        path = door.home / "slipway.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as found:
            yield found

    @contextlib.contextmanager
    def away(door: Door) -> Iterator[None]:
        with opened(door) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")

    def sums(door: Door) -> tuple[int, ...]:
        with opened(door) as connection:
            return tuple(connection.execute(SUMS).fetchone())

    return Database({}, away, sums, refuses=False)


class Clients:
    """Chats, whole and streamed, one after the other, until told to stop."""

    def __init__(self, door: Door) -> None:
        self.door = door
        #: (status, whether it was whole to its end) of each.
        self.answers: list[tuple[int, bool]] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(90)

    def _ask(self, number: int) -> None:
        stream = bool(number % 2)
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
        while not self._over.is_set():
            answer = self.door.call("POST", "chat/completions", json=body)
            whole = (
                answer.text.rstrip().endswith("data: [DONE]")
                if stream
                else json.loads(answer.text).get("usage", {}).get("total_tokens") == 12
            )
            self.answers.append((answer.status_code, whole))
            time.sleep(0.05)

    def go_on(self, count: int) -> None:
        """Wait for so many more answers."""
        wanted = len(self.answers) + count
        until("answers", lambda: len(self.answers) >= wanted, seconds=60)


@pytest.mark.parametrize("database", [postgresql, sqlite])
def test_chats_are_answered_without_a_database_and_counted_once(
    database: Callable[[], Database],
) -> None:
    base = database()
    with running_door(**base.settings) as door:
        door.engine.script = answer_well
        with Clients(door) as clients:
            clients.go_on(3 * CLIENTS)
            with base.away(door):
                began = time.monotonic()
                if base.refuses:
                    asked = door.call("GET", "files", timeout=20)
                    assert asked.status_code == 503, asked.text
                    assert error_of(asked)["type"] == "server_error"
                while time.monotonic() - began < AWAY_SECONDS:
                    clients.go_on(CLIENTS)

            def kept(method: str, path: str, **more: Any) -> bool:
                return bool(door.call(method, path, **more).status_code == 200)

            until("the door's own things", lambda: kept("GET", "files"), seconds=60)
            file = {"files": {"file": ("a.jsonl", b"{}")}, "data": {"purpose": "batch"}}
            until("what is written", lambda: kept("POST", "files", **file), seconds=60)
            clients.go_on(CLIENTS)
        count = len(clients.answers)
        assert set(clients.answers) == {(200, True)}
        wanted = (count, count, 7 * count, 5 * count)
        until("the ledger", lambda: base.sums(door)[0] >= count, seconds=60)
        time.sleep(1)
        assert base.sums(door) == wanted
