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
from slipway.gateway.money import Claim, Lease, Money, Payer
from slipway.gateway.rates import Hold, Rates
from slipway.limits import services as limits
from slipway.limits.rules import Ask, Exchanged, from_bucket, from_slots
from slipway.metering.rules.reserver import reserve, settle

KEY = Key(id="k", project_id="p")
#: As `gateway_process` has them.
PROJECT, ORGANISATION = (f"{c}0000000-0000-0000-0000-000000000001" for c in "af")


def test_a_pot_fills_by_time_and_never_gives_more_than_it_has() -> None:
    ask = Ask(pot="x", size=60, rate=1, give=0, want=100)
    assert from_bucket(ask, level=10, at=0, now=5) == (15, 0)
    assert from_bucket(ask, level=10, at=0, now=1000) == (60, 0)
    # A clock behind the one before it brings nothing, and a debt is paid before anyone is served.
    assert from_bucket(ask, level=10, at=50, now=40) == (10, 0)
    debt = Ask(pot="x", size=60, rate=1, give=-30, want=5)
    assert from_bucket(debt, level=10, at=0, now=0) == (0, -20)


def test_a_pot_and_what_is_leased_of_it_are_never_more_than_the_limit() -> None:
    lease = Ask(pot="x", size=60, rate=1, give=0, want=30)
    assert from_bucket(lease, level=60, at=0, now=0) == (30, 30)
    # However long nobody asks: the pot fills up to what is not out.
    idle = Ask(pot="x", size=60, rate=1, give=0, want=0, has=30)
    assert from_bucket(idle, level=30, at=0, now=1000) == (0, 30)
    rates = Rates(shared=True)
    limit = Snapshot(limits={("p", "", ""): Limit(tokens_per_minute=60)})
    assert isinstance(rates.take(snapshot=limit, key=KEY, model="m", tokens=1, now=0), Refusal)
    (bucket,) = rates.buckets()
    bucket.level, bucket.elsewhere = 30.0, 30.0
    hold = rates.take(snapshot=limit, key=KEY, model="m", tokens=20, now=0)
    assert isinstance(hold, Hold)
    # The pot has filled meanwhile; what was not used finds no room beside it.
    bucket.elsewhere = 50.0
    rates.settle(hold, tokens=0)
    assert bucket.level + bucket.elsewhere == 60


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

    async def story() -> tuple[int, float]:
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
        spent = time.monotonic() - began
        store.away = False
        await gateways.stop()
        return let_in, spent

    let_in, spent = asyncio.run(story())
    # 100 a second for both, and what they had leased before.
    assert 50 <= let_in <= 100 * spent + 300


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


# Money


class Ledger:
    """A budget in memory: leases are held of what was not taken in yet."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.held: dict[tuple[str, Payer], int] = {}
        self.taken = 0
        self.away = False

    def take_in(self, costs: list[int], upto: int) -> None:
        """What was written, in order, some of it later."""
        self.left -= sum(costs[self.taken : upto])
        self.taken = upto

    def pay(
        self, gateway: str, claims: Sequence[Claim], files: Sequence[str]
    ) -> tuple[list[int], dict[str, int | None]]:
        if self.away:
            raise ConnectionError("the ledger is away")
        found: list[int] = []
        for payer, has, wants in claims:
            before = self.held.get((gateway, payer), 0)
            room = self.left - sum(self.held.values())
            self.held[gateway, payer] = min(wants, max(has, before + room))
            found.append(self.held[gateway, payer])
        return found, dict.fromkeys(files, self.taken)


class Spenders:
    """Three gateways that spend of one ledger at random."""

    def __init__(self, seed: int) -> None:
        self.dice, self.ledger = random.Random(seed), Ledger(5_000)
        self.costs: list[int] = []
        self.running: list[tuple[Money, Lease, int]] = []
        self.gateways = [Money(self.ledger.pay, lambda: ("f", len(self.costs))) for _ in range(3)]
        for one in self.gateways:
            # Here they look when told to: never twice at once, as they would by themselves.
            one._looks._task.cancel()

    def let_in(self, one: Money, most: int) -> None:
        lease = one.lease(("o", "p", ""))
        if reserve((lease,), most) is None:
            self.running.append((one, lease, most))
        else:
            lease.short += most

    def end_one(self) -> None:
        one, lease, most = self.running.pop(self.dice.randrange(len(self.running)))
        cost = self.dice.randrange(most + 1)
        settle((lease,), reserved=most, cost=cost)
        one.spent(lease, cost)
        self.costs.append(cost)

    async def turn(self, number: int) -> None:
        dice, ledger = self.dice, self.ledger
        if dice.random() < 0.6:
            self.let_in(dice.choice(self.gateways), dice.randrange(1, 200))
        elif self.running:
            self.end_one()
        ledger.away = number % 50 > 40
        if dice.random() < 0.3:
            await dice.choice(self.gateways)._look(False)
        if dice.random() < 0.1:
            ledger.take_in(self.costs, dice.randrange(ledger.taken, len(self.costs) + 1))


def test_money_that_is_held_is_never_more_than_there_is_whoever_spends_it() -> None:
    async def story(seed: int) -> None:
        spenders = Spenders(seed)
        for number in range(300):
            await spenders.turn(number)
            under_way = sum(most for _, _, most in spenders.running)
            assert sum(spenders.costs) + under_way <= 5_000
        assert sum(spenders.costs) > 1_000, "it is usable"
        for one in spenders.gateways:
            await one.stop()

    for seed in range(20):
        asyncio.run(story(seed))


def test_who_asks_as_the_ledger_is_looked_at_gets_the_money_all_the_same() -> None:
    """The look that falls between a request's refusal and its wait has the money; the one that it
    waits for must not give that back."""

    def pay(_: str, claims: Sequence[Claim], __: Sequence[str]) -> tuple[list[int], dict[str, int]]:
        return [wants for _, _, wants in claims], {}

    async def story() -> None:
        money = Money(pay, lambda: ("f", 0))
        money._looks._task.cancel()
        lease = money.lease(("o", "p", ""))
        assert reserve((lease,), 100) is not None
        lease.short += 100
        await money._look(False)
        await money._look(True)
        assert reserve((lease,), 100) is None
        settle((lease,), reserved=100, cost=0)
        for _ in range(40):
            await money._look(False)
        assert lease.left == 0, "what nobody needs is given back"

    asyncio.run(story())


# Real processes

#: One project may cost 0.5 in all.
BUDGET = f"""
import django; django.setup()
from django.core.management import call_command
from django.utils import timezone
for app in ("limits", "metering"):
    call_command("migrate", app, verbosity=0, skip_checks=True)
from slipway.metering.models import Budget
Budget.objects.create(
    organisation_id="{ORGANISATION}", reach="project", target_id="{PROJECT}", period="total",
    limit="0.5", created_at=timezone.now(),
)
"""


@pytest.fixture
def processes(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
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
    environment |= getattr(request, "param", {})
    subprocess.run([sys.executable, "-c", BUDGET], env=environment, check=True)
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
                wait_until(lambda url=url: _up(http, url), seconds=120)
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
    assert counts[200] >= whole * 0.4


@pytest.mark.parametrize("processes", [{"LIMIT": "100000", "PRICE": str(2 * 10**9)}], indirect=True)
def test_200_calls_through_two_processes_never_spend_more_than_the_budget(processes: Any) -> None:
    _, urls = processes
    # The engine answers with five tokens, so a call costs 0.01 and a little, and 49 fit.
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5}

    async def story() -> list[int]:
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as http:
            asked = (http.post(f"{urls[n % 2]}/chat/completions", json=body) for n in range(200))
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    counts = [asyncio.run(story()) for _ in range(2)]
    found = [*counts[0], *counts[1]]
    assert set(found) == {200, 429}
    assert 35 <= found.count(200) <= 49
