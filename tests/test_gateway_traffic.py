"""Where requests go, on a real server: shares, fallbacks, sessions, queues, sleep, externals."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_world import (
    SECRET,
    Engine,
    Exchange,
    World,
    answer_well,
    completion_of,
    digest,
    wait_until,
    world,
)

from slipway.gateway.facts import Key, Origin, Rule
from slipway.tenancy.rules.secrets import LENT_PREFIX

ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
OTHER = "d0000000-0000-0000-0000-000000000002"
LENT = f"{LENT_PREFIX}batch"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    authority = tmp_path_factory.mktemp("tls")
    make_certificate(authority)
    context = ssl.create_default_context(cafile=str(authority / "certificate.pem"))
    woken: list[str] = []
    with world(tls=lambda: context, wake=woken.append) as made:
        made.second = Engine(made.folder, "second")  # type: ignore[attr-defined]
        made.woken, made.authority = woken, authority  # type: ignore[attr-defined]
        made.keys[digest(LENT)] = Key(id="k1", project_id="p1")
        yield made
        made.second.close()  # type: ignore[attr-defined]


@pytest.fixture
def gw(shared: Any) -> Any:
    shared.engine.script = shared.second.script = answer_well
    shared.engine.exchanges.clear()
    shared.second.exchanges.clear()
    shared.woken.clear()
    return shared


def serve(gw: Any, rule: Rule | None = None, **routes: Any) -> None:
    """`m` is answered by the first engine, `n` by the second, and a rule stands on `m`."""
    gw.routes = {
        ("p1", "m"): gw.route(rule=rule, **routes.get("m", {})),
        ("p1", "n"): gw.route(
            name="n", deployment_id=OTHER, version_id=OTHER, endpoints=(gw.second.address,),
            **routes.get("n", {}),
        ),
    }  # fmt: skip
    gw.gateway.snapshots.current = gw.load()


def ask(gw: Any, secret: str = SECRET, headers: Any = None, **more: Any) -> httpx.Response:
    head = {"authorization": f"Bearer {secret}"} | (headers or {})
    return gw.http.post(f"{gw.url}/chat/completions", json=ASK | more, headers=head)


async def broken(exchange: Exchange) -> None:
    await exchange.whole({"error": {"message": "out of memory"}}, status=500)


async def refusing(exchange: Exchange) -> None:
    await exchange.whole({"error": {"message": "too hot", "type": "x"}}, status=400)


async def hanging_up(exchange: Exchange) -> None:
    exchange.writer.close()


# Shares and fallbacks


def test_shares_go_where_they_should_and_the_answer_says_who(gw: Any) -> None:
    serve(gw, Rule(shares=(("m", 50), ("n", 50))))
    answers = [ask(gw) for _ in range(60)]
    said = Counter(answer.headers.get("x-slipway-model", "m") for answer in answers)
    assert set(said) == {"m", "n"}
    assert 12 < said["n"] < 48
    assert len(gw.second.exchanges) == said["n"]
    assert {one.asked["model"] for one in gw.second.exchanges} == {"n"}
    assert all(one.asked["messages"] == ASK["messages"] for one in gw.second.exchanges)
    written = Counter((r["model"], r["deployment_id"] == OTHER) for r in gw.records()[-60:])
    assert written == {("m", False): said["m"], ("n", True): said["n"]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [broken, hanging_up])
def test_a_fallback_answers_before_the_first_byte(gw: Any, fault: Any, stream: bool) -> None:
    gw.engine.script = fault
    serve(gw, Rule(shares=(("m", 100),), fallbacks=("n",)))
    before = gw.gateway.watch.fell_back
    answer = ask(gw, stream=stream)
    assert (answer.status_code, answer.headers["x-slipway-model"]) == (200, "n")
    record = gw.records()[-1]
    assert (record["model"], record["deployment_id"], record["status"]) == ("n", OTHER, 200)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 5)
    assert gw.gateway.watch.fell_back == before + 1
    lanes = gw.gateway.gate.lanes
    assert (lanes.in_flight(OTHER), lanes.in_flight(record["deployment_id"])) == (0, 0)


def test_nobody_else_is_asked_when_the_request_is_at_fault_or_has_begun(gw: Any) -> None:
    gw.engine.script = refusing
    serve(gw, Rule(shares=(("m", 100),), fallbacks=("n",)))
    assert ask(gw).status_code == 400

    async def cut(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.token("a")
        exchange.writer.close()

    gw.engine.script = cut
    text = ask(gw, stream=True).text
    assert '"content": "a"' in text
    assert '"error"' in text
    assert gw.second.exchanges == []


def test_when_nobody_answers_the_last_one_says_why(gw: Any) -> None:
    gw.engine.script = gw.second.script = broken
    serve(gw, Rule(shares=(("m", 100),), fallbacks=("n",)))
    answer = ask(gw)
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "out of memory")
    serve(gw, Rule(shares=(("gone", 100),)), m={"deployment_id": "", "endpoints": ()})
    answer = ask(gw)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_running")


def test_a_fallback_that_is_full_is_passed_over(gw: Any) -> None:
    gw.engine.script = broken
    serve(gw, Rule(shares=(("m", 100),), fallbacks=("n",)), n={"at_once": 0})
    answer = ask(gw)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"


# A second replica


def test_a_late_replica_is_raced_by_another_and_given_up(gw: Any) -> None:
    async def late(exchange: Exchange) -> None:
        await asyncio.sleep(20)

    serve(gw, Rule(shares=(("m", 100),), hedge_seconds=0.1),
          m={"endpoints": (gw.engine.address, gw.second.address)})  # fmt: skip
    for stream in (False, True):
        gw.engine.script, gw.second.script = late, answer_well
        gw.engine.hung_up.clear()
        # The least busy one is asked first; of two that are idle, the first.
        gw.gateway._parts.upstreams._allowance._left = 5.0
        before = gw.gateway.watch.hedges_won
        began = time.monotonic()
        got = ask(gw, stream=stream)
        assert got.status_code == 200
        assert time.monotonic() - began < 5
        assert gw.gateway.watch.hedges_won == before + 1
        wait_until(lambda: gw.engine.hung_up)
        assert gw.records()[-1]["completion_tokens"] == 5
    # What is not late is asked once, and without an allowance nobody is asked twice.
    gw.engine.script = answer_well
    hedged, asked = gw.gateway.watch.hedged, len(gw.second.exchanges)
    assert ask(gw).status_code == 200
    gw.gateway._parts.upstreams._allowance._left = 0.0

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.4)
        await answer_well(exchange)

    gw.engine.script = slow
    assert ask(gw).status_code == 200
    assert (gw.gateway.watch.hedged, len(gw.second.exchanges)) == (hedged, asked)


def test_a_second_replica_that_fails_leaves_the_first_alone(gw: Any) -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        await answer_well(exchange)

    gw.engine.script, gw.second.script = slow, hanging_up
    serve(gw, Rule(shares=(("m", 100),), hedge_seconds=0.1),
          m={"endpoints": (gw.engine.address, gw.second.address)})  # fmt: skip
    gw.gateway._parts.upstreams._allowance._left = 5.0
    assert ask(gw).status_code == 200
    assert len(gw.second.exchanges) == 1
    assert ask(gw, stream=True).text.endswith("data: [DONE]\n\n")


# Sessions


def test_a_session_meets_one_replica_and_another_when_that_is_gone(gw: Any) -> None:
    serve(gw, m={"endpoints": (gw.engine.address, gw.second.address)})
    for n in range(6):
        ask(gw, prompt_cache_key="one")
        ask(gw, headers={"x-session-id": f"s{n % 2}"})
    counts = {len(gw.engine.exchanges), len(gw.second.exchanges)}
    assert all(count % 3 == 0 for count in counts), "three sessions, each with one replica"
    mine = gw.engine if any("one" in str(e.asked) for e in gw.engine.exchanges) else gw.second
    mine.die()
    try:
        assert ask(gw, prompt_cache_key="one").status_code == 200
    finally:
        mine.path.unlink(missing_ok=True)
        mine.start()


# Places


def test_people_before_batches_through_the_gate(gw: Any) -> None:
    go, order = threading.Event(), []

    async def slow(exchange: Exchange) -> None:
        order.append(exchange.asked["user"])
        while not go.is_set():
            await asyncio.sleep(0.01)
        await exchange.whole(completion_of("m", "x", 1, 1))

    gw.engine.script = slow
    serve(gw, m={"at_once": 1, "queue": 4})
    threads = []

    def begin(who: str, secret: str, waiting: int) -> None:
        thread = threading.Thread(target=lambda: ask(gw, secret, user=who))
        thread.start()
        threads.append(thread)
        lanes, deployment = gw.gateway.gate.lanes, gw.routes["p1", "m"].deployment_id
        wait_until(lambda: lanes.in_flight(deployment) and lanes.waiting(deployment) == waiting)

    begin("first", SECRET, 0)
    wait_until(lambda: order)
    begin("batch", LENT, 1)
    begin("person", SECRET, 2)
    go.set()
    for thread in threads:
        thread.join(20)
    assert order == ["first", "person", "batch"]
    assert gw.gateway.gate.lanes.idle


def test_who_hangs_up_in_the_queue_leaves_it(gw: Any) -> None:
    go = threading.Event()

    async def slow(exchange: Exchange) -> None:
        while not go.is_set():
            await asyncio.sleep(0.01)
        await exchange.whole(completion_of("m", "x", 1, 1))

    gw.engine.script = slow
    serve(gw, m={"at_once": 1, "queue": 1})
    first = threading.Thread(target=lambda: ask(gw))
    first.start()
    lanes, deployment = gw.gateway.gate.lanes, gw.routes["p1", "m"].deployment_id
    wait_until(lambda: gw.engine.exchanges)
    with pytest.raises(httpx.ReadTimeout):
        gw.http.post(f"{gw.url}/chat/completions", json=ASK, timeout=0.3,
                     headers={"authorization": f"Bearer {SECRET}"})  # fmt: skip
    wait_until(lambda: lanes.waiting(deployment) == 0)
    assert lanes.in_flight(deployment) == 1
    go.set()
    first.join(20)
    wait_until(lambda: lanes.idle)
    assert len(gw.engine.exchanges) == 1


# Asleep


def test_a_request_wakes_what_sleeps_and_is_held_until_it_answers(gw: Any) -> None:
    serve(gw, m={"state": "sleeping", "endpoints": (), "reason": "nobody asked"})
    got: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: got.append(ask(gw)))
    thread.start()
    deployment = gw.routes["p1", "m"].deployment_id
    wait_until(lambda: gw.woken)
    serve(gw, m={"state": "waking", "endpoints": (), "reason": "loading weights"})
    time.sleep(0.3)
    assert not got
    serve(gw)
    thread.join(20)
    assert got[0].status_code == 200
    assert set(gw.woken) == {deployment}
    assert len(gw.woken) <= 2, "it is not told at every look"


# Other people's servers


def make_certificate(folder: Path, name: str = "far.test") -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(1).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


class Far(Engine):
    """A server with a certificate for `far.test`, on a port of this machine."""

    def __init__(self, folder: Path, authority: Path) -> None:
        self.port = 0
        self._authority = authority
        super().__init__(folder, "far")

    def start(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._authority / "certificate.pem", self._authority / "key.pem")

        async def listen() -> None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port, ssl=context
            )
            self.port = self._server.sockets[0].getsockname()[1]

        self._loop.run(listen())


@pytest.fixture(scope="module")
def far(shared: Any) -> Iterator[Far]:
    made = Far(shared.folder, shared.authority)
    yield made
    made.close()


def reach(gw: Any, far: Far, name: str = "far.test", **more: Any) -> None:
    origin = Origin(
        netloc="far.test", base_path="/openai/v1", model="gpt-x",
        authorization="Bearer sk-theirs", **more,
    )  # fmt: skip
    serve(gw, m={"endpoints": (f"https://127.0.0.1:{far.port}#{name}",), "origin": origin})


@pytest.mark.parametrize("stream", [False, True])
def test_an_external_server_is_asked_in_its_own_words(gw: Any, far: Far, stream: bool) -> None:
    async def answer(exchange: Exchange) -> None:
        if stream:
            await answer_well(exchange)
        else:
            told = completion_of("gpt-x", "hi", 7, 5)
            await exchange.whole(told, extra="x-request-id: req_of_theirs\r\n")

    far.script = answer
    reach(gw, far)
    got = ask(gw, stream=stream)
    assert got.status_code == 200
    assert got.headers["x-request-id"] == gw.records()[-1]["request_id"]
    sent = far.exchanges[-1]
    assert sent.head.startswith(b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: far.test\r\n")
    assert b"authorization: Bearer sk-theirs\r\n" in sent.head
    assert SECRET.encode() not in sent.head
    assert (sent.asked["model"], sent.asked["messages"]) == ("gpt-x", ASK["messages"])
    assert gw.records()[-1]["completion_tokens"] == 5


@pytest.mark.parametrize(
    ("status", "shown", "said"),
    [(401, 502, "refuses the credential"), (404, 502, "does not know"), (302, 502, "status 302"),
     (429, 429, "slow down"), (400, 400, "slow down")],
)  # fmt: skip
def test_what_an_external_server_refuses_is_told_without_our_secret(
    gw: Any, far: Far, status: int, shown: int, said: str
) -> None:
    async def refuse(exchange: Exchange) -> None:
        text = "slow down" if status in {429, 400} else "Incorrect API key sk-theirs provided"
        await exchange.whole({"error": {"message": text}}, status=status,
                             extra="location: http://169.254.169.254/\r\n")  # fmt: skip

    far.script = refuse
    reach(gw, far)
    got = ask(gw)
    assert got.status_code == shown
    assert said in got.json()["error"]["message"]
    assert "theirs" not in got.text


def test_a_server_with_another_name_is_not_trusted(gw: Any, far: Far) -> None:
    before = len(far.exchanges)
    reach(gw, far, "other.test")
    got = ask(gw)
    assert (got.status_code, got.json()["error"]["code"]) == (503, "model_unavailable")
    assert "certificate" in got.json()["error"]["message"]
    assert len(far.exchanges) == before, "nothing was sent"


def test_an_external_server_has_its_own_patience(gw: Any, far: Far) -> None:
    async def silent(exchange: Exchange) -> None:
        await asyncio.sleep(30)

    far.script = silent
    reach(gw, far, timeout_seconds=1.0)
    began = time.monotonic()
    got = ask(gw)
    assert (got.status_code, got.json()["error"]["code"]) == (504, "timeout")
    assert time.monotonic() - began < 10
    assert json.loads(got.text)["error"]["message"].count("1 s")
