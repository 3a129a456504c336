"""The gateway as a client meets it: the ordinary `openai` package, and raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import openai
import pytest
from django.utils import timezone
from gateway_world import (
    DEPLOYMENT,
    OTHER_SECRET,
    SECRET,
    VERSION,
    Exchange,
    World,
    answer_well,
    chunk_of,
    completion_of,
    digest,
    usage_of,
    wait_until,
    world,
)

from slipway.gateway.facts import Key
from slipway.gateway.loader import Loader

ASK = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with world() as made:
        yield made


@pytest.fixture
def gw(shared: World) -> World:
    shared.engine.script = answer_well
    shared.routes = {("p1", "m"): shared.route()}
    shared.database_is_away = False
    shared.gateway.snapshots.current = shared.load()
    return shared


@pytest.fixture
def client(gw: World) -> openai.OpenAI:
    return openai.OpenAI(base_url=gw.url, api_key=SECRET, max_retries=0, http_client=gw.http)


def error_of(response: httpx.Response) -> dict[str, object]:
    """The error object, which must be whole wherever it comes from."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"].startswith("req_")
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]


def post(gw: World, body: bytes | dict[str, object], **headers: str) -> httpx.Response:
    given = {"authorization": f"Bearer {SECRET}"} | headers
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return gw.http.post(f"{gw.url}/chat/completions", content=content, headers=given)


# Good answers


def test_an_answer_in_one_piece_is_passed_on_and_written_up(
    gw: World, client: openai.OpenAI
) -> None:
    answer = client.chat.completions.with_raw_response.create(model="m", messages=ASK)  # type: ignore[arg-type]
    parsed = answer.parse()
    assert parsed.choices[0].message.content == "a b c d e"
    assert answer.headers["openai-version"] == "2020-10-01"
    assert int(answer.headers["openai-processing-ms"]) >= 0
    record = gw.records()[-1]
    assert record["request_id"] == answer.headers["x-request-id"] == parsed._request_id
    assert (record["deployment_id"], record["version_id"]) == (DEPLOYMENT, VERSION)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 5)
    assert (record["status"], record["key_id"], record["estimated"]) == (200, "k1", False)
    assert f"x-request-id: {record['request_id']}".encode() in gw.engine.exchanges[-1].head


def test_completions_take_the_same_way(gw: World, client: openai.OpenAI) -> None:
    async def text(exchange: Exchange) -> None:
        choice = {"index": 0, "text": "out", "finish_reason": "stop", "logprobs": None}
        answer = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
        await exchange.whole(answer | {"choices": [choice], "usage": usage_of(2, 1)})

    gw.engine.script = text
    assert client.completions.create(model="m", prompt="in").choices[0].text == "out"
    assert gw.engine.exchanges[-1].head.startswith(b"POST /v1/completions HTTP/1.1\r\n")
    assert gw.records()[-1]["endpoint"] == "/v1/completions"


def test_a_stream_arrives_without_the_usage_nobody_asked_for(
    gw: World, client: openai.OpenAI
) -> None:
    chunks = list(client.chat.completions.create(model="m", messages=ASK, stream=True))  # type: ignore[call-overload]
    assert "".join(c.choices[0].delta.content for c in chunks) == "abcde"
    assert all(chunk.usage is None for chunk in chunks)
    assert gw.engine.exchanges[-1].asked["stream_options"] == {"include_usage": True}
    record = gw.records()[-1]
    assert (record["prompt_tokens"], record["completion_tokens"], record["stream"]) == (7, 5, True)
    assert 0 <= record["first_byte_ms"] <= record["latency_ms"]


def test_a_stream_arrives_with_the_usage_that_was_asked_for(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(  # type: ignore[call-overload]
            model="m", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (7, 5)


def test_many_clients_at_once_by_the_async_client(gw: World) -> None:
    async def one(client: openai.AsyncOpenAI, index: int) -> str:
        if index % 2:
            answer = await client.chat.completions.create(model="m", messages=ASK)  # type: ignore[arg-type]
            return str(answer.choices[0].message.content)
        stream = await client.chat.completions.create(model="m", messages=ASK, stream=True)  # type: ignore[call-overload]
        return " ".join([c.choices[0].delta.content async for c in stream])

    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(base_url=gw.url, api_key=SECRET, max_retries=0) as client:
            return await asyncio.gather(*(one(client, index) for index in range(60)))

    before = len(gw.records())
    assert asyncio.run(all_of_them()) == ["a b c d e"] * 60
    records = gw.records()[before:]
    assert len({record["request_id"] for record in records}) == 60
    assert {(r["status"], r["completion_tokens"]) for r in records} == {(200, 5)}
    assert gw.gateway.gate.lanes.in_flight(DEPLOYMENT) == 0


def test_connections_to_the_engine_are_used_again(gw: World, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="m", messages=ASK)  # type: ignore[arg-type]
    before = gw.engine.connections
    for stream in (False, True) * 5:
        got = client.chat.completions.create(model="m", messages=ASK, stream=stream)  # type: ignore[call-overload]
        if stream:
            list(got)
    assert gw.engine.connections == before


def test_usage_is_found_however_the_stream_is_cut_into_pieces(gw: World) -> None:
    events = b"".join(
        b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in (
            chunk_of("m", [{"index": 0, "delta": {"content": 'the "usage":{ of [DONE]'}}])
            | {"usage": None},
            chunk_of("m", []) | {"usage": usage_of(11, 3)},
        )
    )
    events = b": warm\n\n" + events + b"data: [DONE]\n\n"

    def sizes(step: int) -> list[bytes]:
        return [events[at : at + step] for at in range(0, len(events), step)]

    for step in (1, 7, 50, len(events)):

        async def cut(exchange: Exchange, step: int = step) -> None:
            await exchange.begin()
            for piece in sizes(step):
                await exchange.chunk(piece)
                await asyncio.sleep(0)
            await exchange.raw(b"0\r\n\r\n")

        gw.engine.script = cut
        answer = post(gw, {"model": "m", "messages": ASK, "stream": True})
        kept = [line for line in answer.text.split("\n\n") if line]
        assert kept[0] == ": warm"
        assert (
            json.loads(kept[1][6:])["choices"][0]["delta"]["content"] == 'the "usage":{ of [DONE]'
        )
        assert kept[2:] == ["data: [DONE]"]
        record = gw.records()[-1]
        assert (record["prompt_tokens"], record["completion_tokens"]) == (11, 3)


# Models


def test_models_are_those_of_the_project_that_answer(gw: World, client: openai.OpenAI) -> None:
    gw.routes |= {
        ("p1", "org/name:v1"): gw.route(name="org/name:v1", parent="m"),
        ("p1", "coming"): gw.route(name="coming", endpoints=(), state="starting"),
        ("p1", "hurt"): gw.route(name="hurt", endpoints=(), state="unhealthy"),
        ("p1", "off"): gw.route(name="off", endpoints=(), state="stopped"),
        ("p2", "theirs"): gw.route(name="theirs", project_id="p2"),
    }
    wait_until(lambda: len(gw.gateway.snapshots.current.routes) == 6)
    listed = client.models.list().data
    assert [model.id for model in listed] == ["hurt", "m", "org/name:v1"]
    assert (listed[2].created, listed[2].owned_by) == (1_700_000_000, "p1")
    assert (listed[2].parent, listed[2].state) == ("m", "live")  # type: ignore[attr-defined]
    assert client.models.retrieve("org/name:v1").id == "org/name:v1"
    headers = {"authorization": f"Bearer {SECRET}"}
    by_hand = gw.http.get(f"{gw.url}/models/org/name:v1", headers=headers)
    assert by_hand.json()["id"] == "org/name:v1"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("theirs")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


# Refusals


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer", "Bearer sk-slip-wrong", f"Basic {SECRET}", f"Bearer {SECRET}x"],
)
def test_without_a_good_key_nothing_is_told(gw: World, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    before = len(gw.engine.exchanges)
    for ask in (
        lambda: gw.http.get(f"{gw.url}/models", headers=headers),
        lambda: gw.http.post(f"{gw.url}/chat/completions", json={"model": "m"}, headers=headers),
    ):
        response = ask()
        assert response.status_code == 401
        assert error_of(response)["code"] == "invalid_api_key"
    assert len(gw.engine.exchanges) == before


def test_another_projects_model_looks_like_none(gw: World) -> None:
    with openai.OpenAI(base_url=gw.url, api_key=OTHER_SECRET, max_retries=0) as other:
        assert other.models.list().data == []
        with pytest.raises(openai.NotFoundError) as caught:
            other.chat.completions.create(model="m", messages=ASK)  # type: ignore[arg-type]
    error = caught.value
    assert (error.code, error.param, error.type) == (
        "model_not_found",
        "model",
        "invalid_request_error",
    )
    assert error.request_id


def test_unknown_paths_and_methods(gw: World) -> None:
    headers = {"authorization": f"Bearer {SECRET}"}
    for path in ("", "/", "/nothing", "/chat/completions/x", "/chat", "/models/"):
        response = gw.http.get(gw.url + path, headers=headers)
        assert (response.status_code, error_of(response)["code"]) == (404, "unknown_url")
    for method, path, allowed in (
        ("GET", "/chat/completions", "GET, HEAD, POST"),
        ("PUT", "/completions", "POST"),
        ("POST", "/models", "GET, HEAD"),
        ("DELETE", "/models/m", "GET, HEAD, DELETE"),
    ):
        response = gw.http.request(method, gw.url + path, headers=headers)
        assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed")
        assert response.headers["allow"] == allowed


def test_head_says_what_get_would(gw: World) -> None:
    headers = {"authorization": f"Bearer {SECRET}"}
    for path, status in (("/models", 200), ("/models/m", 200), ("/models/none", 404)):
        got, head = (gw.http.request(m, gw.url + path, headers=headers) for m in ("GET", "HEAD"))
        assert (got.status_code, head.status_code, head.content) == (status, status, b"")
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b"", None, "not valid JSON"),
        (b"{", None, "not valid JSON"),
        (b'{"model":"m","messages":[]} x', None, "trailing"),
        (b"[]", None, "Expected `object`"),
        (b"\xef\xbb\xbf{}", None, "not valid JSON"),
        (b'{"model":"m","messages":[],"user":"\xff"}', None, "byte 35 is 0xff"),
        (b'{"messages":[]}', "model", "missing"),
        (b'{"model":1,"messages":[]}', "model", "Expected `str`, got `int`"),
        (b'{"model":"","messages":[]}', "model", "1 to 256"),
        (b'{"model":"%b","messages":[]}' % (b"x" * 300), "model", "1 to 256"),
        (b'{"model":"m"}', "messages", "list"),
        (b'{"model":"m","messages":"hi"}', "messages", "list"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream", "`bool | null`"),
        (b'{"model":"m","messages":[],"stream_options":{}}', "stream_options", "stream: true"),
        (
            b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":1}}',
            "stream_options.include_usage",
            "`bool | null`",
        ),
        (b'{"model":"m","messages":[],"store":"yes"}', "store", "`bool | null`"),
        *(
            (b'{"model":"m","messages":[],"store":true,"metadata":%b}' % given, "metadata", rule)
            for given, rule in (
                (b"[]", "got `array`; at most 16 pairs"),
                (b'{"a":5}', "Expected `str`, got `int`; at most 16"),
                (b'{"%b":"b"}' % (b"a" * 65), "<= 64; at most 16"),
                (b'{"a":"%b"}' % (b"b" * 513), "<= 512; at most 16"),
                (b"{%b}" % b",".join(b'"%d":""' % n for n in range(17)), "<= 16; at most 16"),
            )
        ),
        (b'{"model":"m","messages":[],"tools":{}}', "tools", "must be a list"),
        (b'{"model":"m","messages":[],"user":{}}', "user", "`str | null`"),
        (b'{"model":"m","messages":[],"prompt_cache_key":5}', "prompt_cache_key", "`str | null`"),
        (b'{"model":"m","messages":[],"service_tier":"gold"}', "service_tier", "use auto, default"),
        (
            b'{"model":"m","messages":[],"prompt_cache_retention":"1h"}',
            "prompt_cache_retention",
            "in_memory or 24h",
        ),
        (
            b'{"model":"m","messages":[],"safety_identifier":"%b"}' % (b"x" * 65),
            "safety_identifier",
            "up to 64",
        ),
        (b'{"model":"m","messages":[],"x":NaN}', None, "malformed"),
        (
            b'{"model":"m","messages":%b}' % (b"[" * 10**6 + b"]" * 10**6),
            None,
            "deeper than 900 levels",
        ),
        (b'{"model":"m","messages":[],"x":%b' % (b'{"a":' * 10**6), None, "deeper than 900 levels"),
    ],
    # The bodies themselves would be names of megabytes.
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_a_body_that_is_wrong_is_told_where(
    gw: World, body: bytes, param: str | None, says: str
) -> None:
    before = len(gw.engine.exchanges)
    response = post(gw, body)
    error = error_of(response)
    assert response.status_code == 400
    assert error["param"] == param
    assert says in str(error["message"])
    assert len(gw.engine.exchanges) == before


def test_as_much_metadata_as_may_be_goes_on_to_the_engine(gw: World) -> None:
    most = {f"{n:064}": "ü" * 512 for n in range(16)}
    response = post(gw, {"model": "m", "messages": ASK, "metadata": most, "service_tier": "auto"})
    assert response.status_code == 200
    assert gw.engine.exchanges[-1].asked["metadata"] == most


def test_a_body_of_100_megabytes_is_refused_unread_and_the_server_lives(gw: World) -> None:
    response = post(gw, b"x" * 100_000_000)
    assert (response.status_code, error_of(response)["code"]) == (413, "request_too_large")

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000_000

    response = gw.http.post(
        f"{gw.url}/chat/completions",
        content=pieces(),
        headers={"authorization": f"Bearer {SECRET}"},
    )
    assert (response.status_code, error_of(response)["code"]) == (413, "request_too_large")
    assert post(gw, {"model": "m", "messages": ASK}).status_code == 200


def test_headers_have_a_limit(gw: World) -> None:
    response = post(gw, {"model": "m", "messages": ASK}, **{"x-much": "y" * 64 * 1024})
    assert (response.status_code, error_of(response)["code"]) == (431, "headers_too_large")
    many = {f"x-{index}": "1" for index in range(120)}
    assert post(gw, {"model": "m", "messages": ASK}, **many).status_code == 431
    for path in ("responses", "models", "nothing"):
        long = httpx.get(f"{gw.url}/{path}", headers={"x-much": "y" * 64 * 1024})
        assert (long.status_code, error_of(long)["code"]) == (431, "headers_too_large")
    for size in (40_000, 70_000):
        connection = http.client.HTTPConnection(urlsplit(gw.url).netloc, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", f"/v1/models?{'a' * size}")
            answer = connection.getresponse()
            assert (answer.status, b"url_too_long" in answer.read()) == (414, True)


def test_http_that_could_be_read_two_ways_is_refused(gw: World) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n"
    body = json.dumps({"model": "m", "messages": ASK})
    good = f"{head}content-length: {len(body)}\r\n\r\n{body}"
    assert gw.talk(good.encode()).startswith(b"HTTP/1.1 200")
    assert gw.talk(good.encode() * 5).count(b"HTTP/1.1 200") == 5
    before = len(gw.engine.exchanges)
    for bad in (
        f"{head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        f"{head}content-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
        f"{head}content-length: +4\r\n\r\nabcd",
        f"{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        f"{head}content-length : 4\r\n\r\nabcd",
        f"{head}transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
        f"{head}x: a\0b\r\n\r\n",
        good.replace("host: x\r\n", ""),
    ):
        answer = gw.talk(bad.encode())
        assert b"400 Bad Request" in answer.split(b"\r\n")[0], (bad, answer)
    assert gw.talk(b"GET /v1/models\r\n\r\n").startswith(b"HTTP/1.1 505")
    assert len(gw.engine.exchanges) == before


# Facts that change


def test_a_key_or_model_made_a_moment_ago_works_at_once(gw: World) -> None:
    gw.keys[digest("sk-slip-new")] = Key(id="k3", project_id="p1")
    gw.routes[("p1", "new")] = gw.route(name="new")
    response = post(gw, {"model": "new", "messages": ASK}, authorization="Bearer sk-slip-new")
    assert response.status_code == 200


def test_a_revoked_key_is_out_within_seconds(gw: World) -> None:
    gw.keys[digest("sk-slip-gone")] = Key(id="k4", project_id="p1")
    ask = {"model": "m", "messages": ASK}
    assert post(gw, ask, authorization="Bearer sk-slip-gone").status_code == 200
    del gw.keys[digest("sk-slip-gone")]
    began = time.monotonic()
    wait_until(lambda: post(gw, ask, authorization="Bearer sk-slip-gone").status_code == 401)
    assert time.monotonic() - began < 2


def test_a_stream_ends_with_the_key_that_asked_for_it_and_is_recorded(gw: World) -> None:
    async def without_end(exchange: Exchange) -> None:
        await exchange.begin()
        while True:
            await exchange.token("on ")
            await asyncio.sleep(0.05)

    gw.engine.script, before = without_end, len(gw.engine.hung_up)
    gw.keys[digest("sk-slip-leaked")] = Key(id="k6", project_id="p1")
    heard: dict[str, bytes] = {"sk-slip-leaked": b"", SECRET: b""}

    def listen(secret: str) -> None:
        ask = {"model": "m", "messages": ASK, "stream": True}
        line = {"authorization": f"Bearer {secret}"}
        with gw.http.stream("POST", f"{gw.url}/chat/completions", json=ask, headers=line) as answer:
            for piece in answer.iter_raw():
                heard[secret] += piece
                if secret == SECRET and b"invalid_api_key" in heard["sk-slip-leaked"]:
                    return

    with ThreadPoolExecutor(2) as pool:
        streams = [pool.submit(listen, secret) for secret in heard]
        wait_until(lambda: all(b"on " in text for text in heard.values()))
        began = time.monotonic()
        del gw.keys[digest("sk-slip-leaked")]
        streams[0].result(10)
        assert time.monotonic() - began < 5
        # It returns at a piece that came after the other's end.
        streams[1].result(10)
    last = json.loads(heard["sk-slip-leaked"].rsplit(b"data: ", 1)[1])
    assert (last["error"]["code"], "revoked" in last["error"]["message"]) == (
        "invalid_api_key", True,
    )  # fmt: skip
    assert b"error" not in heard[SECRET]
    wait_until(lambda: len(gw.engine.hung_up) == before + 2)
    record = next(each for each in gw.records() if each["key_id"] == "k6")
    told = heard["sk-slip-leaked"].count(b'"content": "on "')
    assert (record["status"], record["completion_tokens"]) == (401, told)


def test_a_key_ends_at_its_hour_without_a_new_look(gw: World) -> None:
    gw.keys[digest("sk-slip-short")] = Key(id="k5", project_id="p1", expires_at=time.time() + 0.8)
    ask = {"model": "m", "messages": ASK}
    assert post(gw, ask, authorization="Bearer sk-slip-short").status_code == 200
    gw.database_is_away = True
    time.sleep(0.9)
    assert post(gw, ask, authorization="Bearer sk-slip-short").status_code == 401


def test_without_the_database_the_last_picture_serves(gw: World, client: openai.OpenAI) -> None:
    gw.database_is_away = True
    loads = gw.loads
    wait_until(lambda: gw.loads > loads + 1)
    assert client.chat.completions.create(model="m", messages=ASK).usage is not None  # type: ignore[arg-type]


def test_a_flood_of_wrong_keys_does_not_become_a_flood_of_looks(gw: World) -> None:
    async def flood() -> None:
        async with httpx.AsyncClient() as http:
            asks = (
                http.get(f"{gw.url}/models", headers={"authorization": f"Bearer wrong-{index}"})
                for index in range(200)
            )
            assert {response.status_code for response in await asyncio.gather(*asks)} == {401}

    loads, began = gw.loads, time.monotonic()
    asyncio.run(flood())
    assert gw.loads - loads <= (time.monotonic() - began) / 0.05 + 2


@pytest.mark.parametrize(
    ("state", "code", "after"),
    [("starting", "model_starting", "3"), ("stopped", "model_not_running", None)],
)
def test_a_model_that_is_not_there_says_why(
    gw: World, state: str, code: str, after: str | None
) -> None:
    gw.routes = {("p1", "m"): gw.route(endpoints=(), state=state, reason="because of tests")}
    wait_until(lambda: not gw.gateway.snapshots.current.routes[("p1", "m")].endpoints)
    response = post(gw, {"model": "m", "messages": ASK})
    error = error_of(response)
    assert (response.status_code, error["code"]) == (503, code)
    assert "because of tests" in str(error["message"])
    assert response.headers.get("retry-after") == after
    assert response.headers.get("x-should-retry") == (None if after else "false")


@pytest.mark.parametrize("state", ["starting", "stopped"])
def test_no_is_never_said_from_an_old_picture(gw: World, state: str) -> None:
    for _ in range(3):
        gw.routes = {("p1", "m"): gw.route(endpoints=(), state=state)}
        wait_until(lambda: not gw.gateway.snapshots.current.routes[("p1", "m")].endpoints)
        gw.routes = {("p1", "m"): gw.route()}
        assert post(gw, {"model": "m", "messages": ASK}).status_code == 200


def test_a_route_takes_so_many_at_once(gw: World) -> None:
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.5)
        await exchange.whole(completion_of("m", "x", 1, 1))

    async def ask_three() -> list[httpx.Response]:
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx.AsyncClient(headers=headers) as http:
            body = {"model": "m", "messages": ASK}
            url = f"{gw.url}/chat/completions"
            return await asyncio.gather(*(http.post(url, json=body) for _ in range(3)))

    gw.engine.script = slow
    gw.routes = {("p1", "m"): gw.route(at_once=2)}
    gw.gateway.snapshots.current = gw.load()
    answers = asyncio.run(ask_three())
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503]
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert error_of(refused)["code"] == "overloaded"
    assert refused.headers["retry-after"] == "1"


# The real facts


@pytest.mark.django_db
def test_the_picture_is_what_the_database_says(owner: Any) -> None:
    from slipway.deployments.models import Deployment, Revision
    from slipway.tenancy import services as tenancy

    kept = tenancy.issue_key(maker=owner, name="kept")
    revoked = tenancy.issue_key(maker=owner, name="revoked")
    tenancy.revoke_key(maker=owner, key_id=revoked.key.pk, now=timezone.now())
    deployment = Deployment.objects.create(
        project_id=owner.project_id, name="m", phase="live", version_id=uuid4()
    )
    revision = Revision.objects.create(
        project_id=owner.project_id,
        deployment=deployment,
        number=1,
        replicas=1,
        version_id=uuid4(),
        reference="m@2",
        parent="base",
        phase="serving",
        context_length=512,
        endpoints=["unix:/run/one.sock", "unix:/run/two.sock"],
    )
    picture = Loader()()
    assert list(picture.keys) == [tenancy.digest_of(kept.secret)]
    (route,) = picture.routes.values()
    assert route == picture.routes[(str(owner.project_id), "m")]
    assert route.endpoints == ("unix:/run/one.sock", "unix:/run/two.sock")
    assert (route.deployment_id, route.version_id) == (str(deployment.pk), str(revision.version_id))
    assert (route.state, route.root, route.parent) == ("live", "m@2", "base")
    assert (route.context_length, route.answers) == (512, True)


def test_the_web_process_gives_v1_to_the_gateway_and_the_rest_to_django() -> None:
    from slipway import asgi

    async def get(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(asgi.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get(path)

    for path in ("/v1", "/v1/", "/v1/nothing"):
        assert error_of(asyncio.run(get(path)))["code"] == "unknown_url"
    assert set(asyncio.run(get("/v10")).headers) >= {"x-request-id"}
    assert "details" in asyncio.run(get("/api/v1/nothing")).json()["error"]
