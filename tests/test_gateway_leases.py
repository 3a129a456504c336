"""Several gateways keep one limit: in arithmetic, with the database, and as processes that die."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_world import SECRET, Engine, wait_until

from slipway.gateway import leases
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Limit, Snapshot
from slipway.gateway.leases import Leases
from slipway.gateway.rates import Hold, Rates
from slipway.limits import services as limits
from slipway.limits.rules import Ask, Exchanged, from_bucket, from_slots

KEY = Key(id="k", project_id="p")


def test_a_pot_fills_by_time_and_never_gives_more_than_it_has() -> None:
    ask = Ask(pot="x", size=60, rate=1, give=0, want=100)
    assert from_bucket(ask, level=10, at=0, now=5) == (15, 0)
    assert from_bucket(ask, level=10, at=0, now=1000) == (60, 0)
    # A clock behind the one before it brings nothing, and a debt is paid before anyone is served.
    assert from_bucket(ask, level=10, at=50, now=40) == (10, 0)
    debt = Ask(pot="x", size=60, rate=1, give=-30, want=5)
    assert from_bucket(debt, level=10, at=0, now=0) == (0, -20)


def test_slots_are_kept_until_they_are_given_back() -> None:
    ask = Ask(pot="x", size=10, rate=0, give=0, want=4)
    assert from_slots(ask, held=3, by_others=5) == (2, 5)
    assert from_slots(Ask(pot="x", size=10, rate=0, give=3, want=0), held=3, by_others=9) == (0, 0)


class Store:
    """The common pots in memory; away when told so."""

    def __init__(self) -> None:
        self.pots: dict[str, tuple[float, float]] = {}
        self.held: dict[str, dict[str, float]] = {}
        self.gateways: set[str] = set()
        self.away = False
        self.looks = 0
        #: Seconds until it says that it is away.
        self.hangs = 0.0

    def __call__(self, gateway: str, asks: Sequence[Ask], now: float) -> Exchanged:
        if self.away:
            time.sleep(self.hangs)
            raise ConnectionError("the store is away")
        self.looks += 1
        self.gateways.add(gateway)
        found = {}
        for ask in asks:
            if ask.rate:
                level, at = self.pots.get(ask.pot, (ask.size, now))
                grant, left = from_bucket(ask, level=level, at=at, now=now)
                self.pots[ask.pot] = (left, now)
            else:
                by_others = sum(
                    v for g, v in self.held.setdefault(ask.pot, {}).items() if g != gateway
                )
                mine = self.held[ask.pot].get(gateway, 0)
                grant, held = from_slots(ask, held=mine, by_others=by_others)
                self.held[ask.pot][gateway] = held
                left = ask.size - by_others - held
            found[ask.pot] = (grant, left)
        return Exchanged(pots=found, others=len(self.gateways) - 1)


class Gateways:
    """Some gateways before one store, asked as their completions would ask."""

    def __init__(self, store: Store, limit: Limit, count: int) -> None:
        self.snapshot = Snapshot(limits={("p", "", ""): limit})
        self.rates = [Rates(shared=True) for _ in range(count)]
        self.leases = [Leases(rates, store) for rates in self.rates]

    async def ask(self, index: int, tokens: int = 0) -> Hold | Refusal:
        def take() -> Hold | Refusal:
            return self.rates[index].take(
                snapshot=self.snapshot, key=KEY, model="m", tokens=tokens, now=time.time()
            )

        found = take()
        if isinstance(found, Refusal) and found.lease:
            await self.leases[index].next()
            found = take()
        return found

    async def stop(self) -> None:
        for one in self.leases:
            await one.stop()


def test_together_they_let_in_what_one_would() -> None:
    async def story() -> tuple[int, float]:
        gateways = Gateways(Store(), Limit(requests_per_minute=600), 4)
        dice, let_in, began = random.Random(1), 0, time.monotonic()
        while (spent := time.monotonic() - began) < 3:
            # Now one is asked most, now another.
            busy = int(spent * 2) % 4
            asked = [busy if dice.random() < 0.7 else dice.randrange(4) for _ in range(60)]
            answers = await asyncio.gather(*(gateways.ask(index) for index in asked))
            let_in += sum(isinstance(answer, Hold) for answer in answers)
        await gateways.stop()
        return let_in, spent

    let_in, seconds = asyncio.run(story())
    whole = 600 + seconds * 10
    assert whole * 0.98 - 1 <= let_in <= whole * 1.01 + 1


def test_requests_at_one_time_are_counted_over_all_and_none_are_lost() -> None:
    async def story() -> None:
        gateways = Gateways(Store(), Limit(at_once=10), 3)
        for _ in range(3):
            answers = await asyncio.gather(*(gateways.ask(index % 3) for index in range(30)))
            held = [(i % 3, a) for i, a in enumerate(answers) if isinstance(a, Hold)]
            assert len(held) <= 10
            for index, hold in held:
                gateways.rates[index].settle(hold, tokens=0)
            await asyncio.sleep(0.6)
        # Nothing is in flight: any of them may have all of it again.
        got = [await gateways.ask(0) for _ in range(11)]
        assert [isinstance(one, Hold) for one in got] == [True] * 10 + [False]
        await gateways.stop()

    asyncio.run(story())


@pytest.mark.parametrize("hangs", [0.0, 2.0])
def test_without_the_store_each_goes_on_with_its_part(
    hangs: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "PATIENCE_SECONDS", 0.3)

    async def story() -> int:
        store = Store()
        store.hangs = hangs
        gateways = Gateways(store, Limit(requests_per_minute=6000), 2)
        for _ in range(12):
            await asyncio.gather(*(gateways.ask(index) for index in (0, 1)))
            await asyncio.sleep(0.15)
        store.away = True
        let_in, began = 0, time.monotonic()
        while time.monotonic() - began < 1.5:
            answers = await asyncio.gather(*(gateways.ask(index % 2) for index in range(100)))
            let_in += sum(isinstance(answer, Hold) for answer in answers)
        store.away = False
        await gateways.stop()
        return let_in

    # 100 a second for both, and what they had leased before.
    assert 50 <= asyncio.run(story()) <= 300


def test_a_store_that_was_never_there_refuses_nobody() -> None:
    async def story() -> list[bool]:
        store = Store()
        store.away = True
        gateways = Gateways(store, Limit(requests_per_minute=600, at_once=4), 1)
        await gateways.ask(0)
        await asyncio.sleep(0.6)
        got = [isinstance(await gateways.ask(0), Hold) for _ in range(6)]
        await gateways.stop()
        return got

    # As many at one time as the limit says, the first ask among them.
    got = asyncio.run(story())
    assert got[0]
    assert sum(got) <= 4


def test_alone_it_asks_seldom_and_at_rest_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "IDLE_SECONDS", 0.5)

    async def story() -> None:
        store = Store()
        gateways = Gateways(store, Limit(requests_per_minute=600, at_once=4), 1)
        for _ in range(100):
            hold = await gateways.ask(0)
            assert isinstance(hold, Hold)
            gateways.rates[0].settle(hold, tokens=0)
        assert store.looks <= 4
        await asyncio.sleep(1)
        rested = store.looks
        # All is back in the pots.
        assert store.pots["requests/p//"][0] == pytest.approx(500, abs=25)
        assert set(store.held["slots/p//"].values()) == {0.0}
        await asyncio.sleep(1.5)
        assert store.looks == rested
        await gateways.stop()

    asyncio.run(story())


@pytest.mark.django_db
def test_the_database_keeps_the_pots() -> None:
    ask = Ask(pot="requests/p", size=60, rate=1, give=0, want=50)
    assert limits.exchange("one", [ask], 1000.0) == Exchanged(
        pots={"requests/p": (50, 10)}, others=0
    )
    assert limits.exchange("two", [ask], 1000.0) == Exchanged(
        pots={"requests/p": (10, 0)}, others=1
    )
    slots = Ask(pot="slots/p", size=3, rate=0, give=0, want=2)
    assert limits.exchange("one", [slots], 1001.0).pots["slots/p"] == (2, 1)
    assert limits.exchange("two", [slots], 1001.0).pots["slots/p"] == (1, 0)
    # The first was killed: after a while its slots are free again.
    again = limits.exchange("two", [slots], 1001.0 + limits.GONE_SECONDS + 1)
    assert (again.pots["slots/p"], again.others) == ((2, 0), 0)


# Real processes


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Any]:
    engine = Engine(tmp_path)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "ENGINE": engine.address,
        "SLIPWAY_TEST_HOME": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "embedded_settings",
        "LIMIT": "120",
        "SHARE_LIMITS": "1",
    }
    environment.pop("PYTEST_XDIST_WORKER", None)
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "limits", "--verbosity=0"],
        env=environment,
        check=True,
    )
    made: list[subprocess.Popen[bytes]] = []
    urls = []
    for number in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            *(sys.executable, "-m", "uvicorn", "gateway_process:app", "--port", str(port)),
            *("--http", "gateway_process:Protocol", "--interface", "asgi3", "--ws", "none"),
            *("--log-level", "error"),
        ]
        spool = {"SPOOL": str(tmp_path / f"spool{number}")}
        made.append(subprocess.Popen(command, env=environment | spool, cwd=Path(__file__).parent))
        urls.append(f"http://127.0.0.1:{port}/v1")
    try:
        with httpx.Client() as http:
            for url in urls:
                wait_until(lambda url=url: _up(http, url), seconds=30)
        yield made, urls
    finally:
        for process in made:
            process.kill()
            process.wait()
        engine.close()


def _up(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(f"{url}/models").status_code == 401
    except httpx.TransportError:
        return False


def test_two_processes_keep_one_limit_though_one_is_killed(processes: Any) -> None:
    made, urls = processes
    counts: dict[int, int] = {}

    async def client(http: httpx.AsyncClient, number: int, end: float) -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        while time.monotonic() < end:
            url = urls[number % len(urls)]
            try:
                answer = await http.post(f"{url}/chat/completions", json=body)
            except httpx.TransportError:
                number += 1
                continue
            counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
            await asyncio.sleep(0.02 if answer.status_code == 200 else 0.1)

    async def story() -> float:
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(headers=headers, timeout=10) as http:
            began = time.monotonic()
            work = [asyncio.ensure_future(client(http, n, began + 6)) for n in range(12)]
            await asyncio.sleep(4)
            made[1].send_signal(signal.SIGKILL)
            await asyncio.gather(*work)
            return time.monotonic() - began

    seconds = asyncio.run(story())
    assert set(counts) <= {200, 429}
    whole = 120 + seconds * 2
    assert counts[200] <= whole * 1.01
    # What the killed one had leased is lost until the pot has filled again.
    assert counts[200] >= whole * 0.6
