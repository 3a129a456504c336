"""Limits: set by an owner over REST, kept by the gateway's token buckets."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from click.testing import CliRunner
from django.core.wsgi import get_wsgi_application
from gateway_world import (
    OTHER_SECRET,
    SECRET,
    Exchange,
    World,
    answer_well,
    completion_of,
    wait_until,
    world,
)

from slipway.cli import client, root
from slipway.gateway import rates
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Limit, Snapshot
from slipway.gateway.loader import Loader
from slipway.tenancy import services as tenancy

KEY, OTHER = Key(id="k1", project_id="p1"), Key(id="k2", project_id="p1")


class Clock:
    """Rates, a picture with some limits, and a time that moves when told."""

    def __init__(self, **limits: Limit) -> None:
        scopes = {"project": ("p1", "", ""), "key": ("p1", "k1", ""), "model": ("p1", "", "m"),
                  "both": ("p1", "k1", "m")}  # fmt: skip
        self.picture = Snapshot(limits={scopes[name]: limit for name, limit in limits.items()})
        self.rates, self.now = rates.Rates(), 1000.0

    def take(self, tokens: int = 0, key: Key = KEY, model: str = "m") -> rates.Hold | Refusal:
        return self.rates.take(
            snapshot=self.picture, key=key, model=model, tokens=tokens, now=self.now
        )

    def takes(self, count: int, **given: Any) -> list[bool]:
        return [isinstance(self.take(**given), rates.Hold) for _ in range(count)]


def test_without_a_limit_there_is_nothing_to_keep() -> None:
    clock = Clock()
    assert all(clock.takes(100))
    assert clock.take() == rates.Hold((), 0, b"")


def test_so_many_a_minute_and_then_evenly() -> None:
    clock = Clock(key=Limit(requests_per_minute=6))
    assert clock.takes(8) == [True] * 6 + [False] * 2
    clock.now += 10
    assert clock.takes(2) == [True, False]
    clock.now += 3600
    assert clock.takes(7) == [True] * 6 + [False]


def test_a_refusal_says_when_and_its_word_is_good() -> None:
    clock = Clock(key=Limit(requests_per_minute=6))
    clock.takes(6)
    refusal = clock.take()
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code, refusal.type) == (429, "rate_limit_exceeded", "requests")
    headers = dict(refusal.headers())
    assert headers[b"x-ratelimit-remaining-requests"] == b"0"
    assert (headers[b"retry-after"], headers[b"retry-after-ms"]) == (b"10", b"10000")
    clock.now += 9.9
    assert clock.takes(1) == [False]
    clock.now += 0.1
    assert clock.takes(1) == [True]


def test_tokens_are_reserved_and_settled_by_what_was_used() -> None:
    clock = Clock(project=Limit(tokens_per_minute=600))
    hold = clock.take(500)
    assert isinstance(hold, rates.Hold)
    assert isinstance(clock.take(200), Refusal)
    clock.rates.settle(hold, tokens=100)
    assert isinstance(clock.take(200), rates.Hold)
    # Who used more than it said leaves a debt.
    hold = clock.take(10)
    assert isinstance(hold, rates.Hold)
    clock.rates.settle(hold, tokens=890)
    refusal = clock.take(1)
    assert isinstance(refusal, Refusal)
    assert refusal.type == "tokens"
    assert refusal.retry_after == 60
    # More than a whole minute's worth passes when the bucket is full, or it never would.
    clock.now += 7200
    assert isinstance(clock.take(5000), rates.Hold)


def test_scopes_count_by_themselves_and_all_must_agree() -> None:
    clock = Clock(
        key=Limit(requests_per_minute=2),
        project=Limit(requests_per_minute=5),
        model=Limit(requests_per_minute=100),
        both=Limit(requests_per_minute=100),
    )
    assert clock.takes(3) == [True, True, False]
    # What one refuses takes nothing from the others.
    assert clock.takes(4, key=OTHER) == [True, True, True, False]
    stranger = Key(id="k9", project_id="p9")
    assert all(clock.takes(20, key=stranger))


def test_at_once_is_free_again_when_a_request_has_ended() -> None:
    clock = Clock(model=Limit(at_once=2))
    holds = [clock.take(), clock.take()]
    assert isinstance(clock.take(), Refusal)
    assert isinstance(clock.take(model="other"), rates.Hold)
    assert isinstance(holds[0], rates.Hold)
    clock.rates.settle(holds[0], tokens=0)
    assert isinstance(clock.take(), rates.Hold)


def test_a_limit_that_changes_is_in_force_at_once() -> None:
    clock = Clock(key=Limit(requests_per_minute=100))
    clock.takes(10)
    clock.picture = Clock(key=Limit(requests_per_minute=3)).picture
    assert clock.takes(4) == [True, True, True, False]
    clock.picture = Clock().picture
    assert all(clock.takes(9))


def test_a_clock_that_is_set_back_gives_nothing_and_takes_nothing() -> None:
    clock = Clock(key=Limit(requests_per_minute=3))
    clock.takes(1)
    clock.now -= 3600
    assert clock.takes(3) == [True, True, False]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.0123, "13ms"),
        (1.5, "1.5s"),
        (59.9999, "60s"),
        (360, "6m0s"),
        (61.2, "1m2s"),
    ],
)
def test_durations_are_written_as_clients_read_them(seconds: float, text: str) -> None:
    assert rates._duration(seconds) == text


# Through the gateway


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def gw(shared: World) -> Iterator[World]:
    shared.engine.script = answer_well
    yield shared
    shared.limits = {}
    shared.gateway.gate._rates = rates.Rates()


def limited(gw: World, **limit: Any) -> openai.OpenAI:
    gw.limits = {("p1", "k1", ""): Limit(**limit)}
    wait_until(lambda: gw.gateway.snapshots.current.limits == gw.limits)
    return openai.OpenAI(base_url=gw.url, api_key=SECRET, max_retries=0, http_client=gw.http)


ASK: Any = [{"role": "user", "content": "hello"}]


def test_the_client_sees_what_is_left_and_is_told_to_wait(gw: World) -> None:
    client = limited(gw, requests_per_minute=2, tokens_per_minute=1000)
    first = client.chat.completions.with_raw_response.create(model="m", messages=ASK)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"] == "30s"
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    streamed = client.chat.completions.with_raw_response.create(
        model="m", messages=ASK, stream=True
    )
    assert streamed.headers["x-ratelimit-remaining-requests"] == "0"
    list(streamed.parse())
    before = len(gw.engine.exchanges)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="m", messages=ASK)
    error = refused.value
    assert (error.code, error.type) == ("rate_limit_exceeded", "requests")
    assert "this key" in error.message
    assert 1 <= int(error.response.headers["retry-after"]) <= 30
    assert error.response.headers["x-request-id"].startswith("req_")
    assert len(gw.engine.exchanges) == before
    # The other project does not notice.
    gw.routes[("p2", "m")] = gw.route(project_id="p2")
    other = client.with_options(api_key=OTHER_SECRET)
    assert other.chat.completions.create(model="m", messages=ASK).choices


def test_used_tokens_count_whatever_was_guessed(gw: World) -> None:
    async def long(exchange: Exchange) -> None:
        await exchange.whole(completion_of("m", "x", 40, 160))

    gw.engine.script = long
    client = limited(gw, tokens_per_minute=150)
    client.chat.completions.create(model="m", messages=ASK)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="m", messages=ASK)
    assert refused.value.type == "tokens"


def test_at_once_holds_while_answers_are_under_way(gw: World) -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.3)
        await exchange.whole(completion_of("m", "x", 1, 1))

    async def ask() -> list[int]:
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as http:
            body = {"model": "m", "messages": ASK}
            url = f"{gw.url}/chat/completions"
            answers = await asyncio.gather(*(http.post(url, json=body) for _ in range(5)))
            return sorted(answer.status_code for answer in answers)

    gw.engine.script = slow
    limited(gw, at_once=3)
    assert asyncio.run(ask()) == [200, 200, 200, 429, 429]
    assert asyncio.run(ask()) == [200, 200, 200, 429, 429]


# Over REST


@pytest.mark.django_db
def test_an_owner_sets_and_lifts_limits(api: Any, owner: Any) -> None:
    made = api.put("/api/v1/limits", {"requests_per_minute": 10}, format="json")
    assert made.status_code == 200, made.content
    assert made.json()["key_id"] is None
    again = api.put("/api/v1/limits", {"requests_per_minute": 20, "at_once": 2}, format="json")
    assert again.json()["id"] == made.json()["id"]
    key = api.get("/api/v1/keys").json()["data"][0]["id"]
    api.put("/api/v1/limits", {"key_id": key, "model": "m", "tokens_per_minute": 99}, format="json")
    assert len(api.get("/api/v1/limits").json()["data"]) == 2
    project = str(owner.project_id)
    assert Loader()().limits == {
        (project, "", ""): Limit(requests_per_minute=20, at_once=2),
        (project, key, "m"): Limit(tokens_per_minute=99),
    }
    assert api.delete(f"/api/v1/limits/{made.json()['id']}").status_code == 204
    assert list(Loader()().limits) == [(project, key, "m")]


@pytest.mark.django_db
def test_who_may_not_set_limits(
    api: Any, owner: Any, stranger: Any, api_for: Callable[..., Any]
) -> None:
    operator, other = api_for(owner, role="operator"), api_for(stranger)
    limit = {"requests_per_minute": 10}
    assert operator.put("/api/v1/limits", limit, format="json").status_code == 403
    made = api.put("/api/v1/limits", limit, format="json").json()
    assert operator.delete(f"/api/v1/limits/{made['id']}").status_code == 403
    assert other.delete(f"/api/v1/limits/{made['id']}").status_code == 404
    assert other.get("/api/v1/limits").json()["data"] == []
    key = api.get("/api/v1/keys").json()["data"][0]["id"]
    assert other.put("/api/v1/limits", limit | {"key_id": key}, format="json").status_code == 404
    for wrong in ({}, {"requests_per_minute": 0}, {"at_once": "x"}, {"key_id": "k", "at_once": 1}):
        assert api.put("/api/v1/limits", wrong, format="json").status_code == 422
    unknown = limit | {"key_id": str(uuid.uuid4())}
    assert api.put("/api/v1/limits", unknown, format="json").status_code == 404


@pytest.mark.django_db
def test_limits_are_set_listed_and_lifted_from_the_command_line(
    owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tenancy.issue_key(maker=owner, name="t", role="owner").secret
    monkeypatch.setenv("SLIPWAY_URL", "http://localhost")
    monkeypatch.setenv("SLIPWAY_API_KEY", secret)
    real = httpx.Client
    monkeypatch.setattr(
        client.httpx, "Client",
        lambda **given: real(transport=httpx.WSGITransport(app=get_wsgi_application()), **given),
    )  # fmt: skip

    def told(*words: str) -> str:
        done = CliRunner().invoke(root.root, ["limits", *words])
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.output.strip()

    made = told("set", "--model", "m", "--requests", "60", "--at-once", "8")
    (row,) = json.loads(told("list", "--json"))
    assert (row["id"], row["model"], row["key_id"]) == (made, "m", None)
    rates = (row["requests_per_minute"], row["tokens_per_minute"], row["at_once"])
    assert rates == (60, None, 8)
    assert told("set", "--model", "m", "--tokens", "9") == made, "set again, it is the same limit"
    assert told("lift", made) == "lifted"
    assert json.loads(told("list", "--json")) == []
