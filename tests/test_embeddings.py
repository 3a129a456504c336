"""Embeddings: a real encoder behind its own server, asked by the `openai` package."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_models
import httpx
import numpy as np
import openai
import pytest
import torch
import transformers
from engine_world import RunningEncoder
from gateway_world import SECRET, Exchange, World, wait_until, world

from slipway.gateway import budgets
from slipway.gateway.facts import Key, Snapshot
from slipway.gateway.reading import CHAT, COMPLETIONS, EMBEDDINGS
from slipway.metering.rules.reserver import Limit as Budget
from slipway_contracts import encoders
from slipway_runtime.serving import encoder

TEXTS = ["sales of the region", "a bar chart", "x", "the chart of the sales of the region in March"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engine_models.encoder(tmp_path_factory.mktemp("encoder") / "m")


@pytest.fixture(scope="module")
def running(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEncoder]:
    torch.set_num_threads(1)
    with RunningEncoder(tmp_path_factory.mktemp("s"), folder) as found:
        yield found


@pytest.fixture(scope="module")
def client(running: RunningEncoder) -> Iterator[openai.OpenAI]:
    with running.openai() as found:
        yield found


@pytest.fixture(scope="module")
def truth(folder: Path) -> Any:
    """The vector of a text as transformers and a plain mean give it, one text at a time."""
    model = transformers.AutoModel.from_pretrained(folder)

    def vector(tokens: list[int]) -> Any:
        with torch.no_grad():
            states = model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        mean = states.mean(0).numpy()
        return mean / np.linalg.norm(mean)

    return vector


def tokens_of(text: str) -> list[int]:
    return list(engine_models.tokenizer()(text)["input_ids"])


def vectors_of(answer: Any) -> Any:
    return np.array([each.embedding for each in answer.data])


def test_the_client_gets_the_vectors_of_the_model_itself(client: openai.OpenAI, truth: Any) -> None:
    answer = client.embeddings.create(model="tiny", input=TEXTS)
    expected = np.array([truth(tokens_of(text)) for text in TEXTS])
    assert np.abs(vectors_of(answer) - expected).max() < 1e-6
    assert [each.index for each in answer.data] == [0, 1, 2, 3]
    count = sum(len(tokens_of(text)) for text in TEXTS)
    assert answer.usage.model_dump() == {"prompt_tokens": count, "total_tokens": count}
    assert len(tokens_of(TEXTS[3])) > 8, "longer than the tokenizer's file would cut it"


def test_text_tokens_and_both_formats_are_the_same_vectors(client: openai.OpenAI) -> None:
    text = TEXTS[0]
    as_text = client.embeddings.create(model="tiny", input=text)
    as_floats = client.embeddings.create(model="tiny", input=text, encoding_format="float")
    as_tokens = client.embeddings.create(model="tiny", input=tokens_of(text))
    listed = client.embeddings.create(model="tiny", input=[tokens_of(text), tokens_of("x")])
    for other in (as_floats, as_tokens, listed):
        assert np.abs(vectors_of(other)[0] - vectors_of(as_text)[0]).max() < 1e-6
    assert isinstance(as_floats.data[0].embedding[0], float)


def test_without_a_word_on_the_format_the_answer_is_numbers(running: RunningEncoder) -> None:
    with running.http() as http:
        answer = http.post("/v1/embeddings", json={"model": "tiny", "input": "x"}).json()
        asked = {"model": "tiny", "input": "x", "encoding_format": "base64"}
        packed = http.post("/v1/embeddings", json=asked).json()
    assert len(answer["data"][0]["embedding"]) == 24
    assert isinstance(packed["data"][0]["embedding"], str)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": ""}, "input", "not empty"),
        ({"input": []}, "input", "string"),
        ({"input": ["a", ""]}, "input", "input 1"),
        ({"input": ["a", 3]}, "input", "input 1"),
        ({"input": [[1, 320]]}, "input", "0 to 319"),
        ({"input": [True]}, "input", "0 to 319"),
        ({"input": {"a": 1}}, "input", "string"),
        ({"input": ["x"] * 2049}, "input", "2048"),
        ({"input": [[1] * 41]}, "input", "maximum context length is 40"),
        ({"input": "a", "dimensions": 12}, "dimensions", "may be 24"),
        ({"input": "a", "dimensions": "24"}, "dimensions", "may be 24"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "float or base64"),
        ({"input": "a", "task": "query"}, "task", "Unrecognized"),
        ({"input": "a", "model": "other"}, "model", "serves tiny"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(
    running: RunningEncoder, fields: dict[str, Any], param: str, words: str
) -> None:
    with running.http() as http:
        answer = http.post("/v1/embeddings", json={"model": "tiny"} | fields)
    error = answer.json()["error"]
    assert answer.status_code in {400, 404}
    assert error["param"] == param
    assert words in error["message"]


def test_too_many_tokens_in_all_are_refused(running: RunningEncoder) -> None:
    with running.http() as http:
        asked = {"model": "tiny", "input": [[1] * 40] * 2048}
        assert http.post("/v1/embeddings", json=asked).status_code == 200
    running.app.encoder.rules = encoders.Encoder(pooling="mean", normalise=True, most_tokens=4000)
    try:
        with running.http() as http:
            asked = {"model": "tiny", "input": [[1] * 4000] * 76}
            error = http.post("/v1/embeddings", json=asked).json()["error"]
    finally:
        running.app.encoder.rules = encoders.Encoder(pooling="mean", normalise=True, most_tokens=40)
    assert error["code"] == "max_tokens_per_request"


def test_many_at_once_get_what_each_would_get_alone(running: RunningEncoder, truth: Any) -> None:
    async def ask(http: httpx.AsyncClient, number: int) -> float:
        texts = [f"{text} {number}" for text in TEXTS[: 1 + number % 4]]
        asked = {"model": "tiny", "input": texts}
        got = (await http.post("/v1/embeddings", json=asked)).json()["data"]
        return max(
            float(np.abs(np.array(each["embedding"]) - truth(tokens_of(text))).max())
            for each, text in zip(got, texts, strict=True)
        )

    async def all_of_them() -> list[float]:
        transport = httpx.AsyncHTTPTransport(uds=str(running.path))
        async with httpx.AsyncClient(transport=transport, base_url="http://e", timeout=60) as http:
            return await asyncio.gather(*(ask(http, number) for number in range(60)))

    before = running.app.batches.counts["steps"]
    assert max(asyncio.run(all_of_them())) < 1e-5
    assert running.app.batches.counts["steps"] - before < 150, "texts share forward passes"


def test_who_hangs_up_is_no_longer_worked_for(running: RunningEncoder) -> None:
    gate, entered = threading.Event(), threading.Event()
    forward = running.encoder.vectors

    def slowly(rows: Any) -> Any:
        entered.set()
        gate.wait(20)
        return forward(rows)

    running.encoder.vectors = slowly  # type: ignore[method-assign]
    try:
        body = json.dumps({"model": "tiny", "input": [[1] * 40] * 2000}).encode()
        head = "POST /v1/embeddings HTTP/1.1\r\nhost: e\r\ncontent-type: application/json\r\n"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(running.path))
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            assert entered.wait(20)
        wait_until(lambda: not running.app.batches.metrics()["running"])
        steps = running.app.batches.counts["steps"]
    finally:
        running.encoder.vectors = forward  # type: ignore[method-assign]
        gate.set()
    wait_until(lambda: not running.app.batches.metrics()["waiting"])
    assert running.app.batches.counts["steps"] <= steps + 1


def test_a_small_request_does_not_wait_for_a_large_one(folder: Path) -> None:
    work = encoder.Batches(encoder.load(folder, encoder.rules_of(folder), {}))  # type: ignore[arg-type]

    async def story() -> list[str]:
        ended: list[str] = []
        large, small = work.submit([[1] * 40] * 2000), work.submit([[1] * 3])
        large.done.add_done_callback(lambda _: ended.append("large"))
        small.done.add_done_callback(lambda _: ended.append("small"))
        work.start()
        await asyncio.gather(large.done, small.done)
        await work.stop(1)
        return ended

    assert asyncio.run(story()) == ["small", "large"]


def test_a_failing_pass_fails_its_requests_only(running: RunningEncoder) -> None:
    forward = running.encoder.vectors

    def broken(rows: Any) -> Any:
        raise RuntimeError("out of memory")

    running.encoder.vectors = broken  # type: ignore[method-assign]
    try:
        with running.http() as http:
            answer = http.post("/v1/embeddings", json={"model": "tiny", "input": ["a", "b"]})
            assert answer.status_code == 500
            assert "out of memory" in answer.json()["error"]["message"]
            assert http.get("/health").status_code == 200
            for _ in range(2):
                http.post("/v1/embeddings", json={"model": "tiny", "input": "a"})
            assert http.get("/health").status_code == 503
    finally:
        running.encoder.vectors = forward  # type: ignore[method-assign]
    with running.http() as http:
        asked = {"model": "tiny", "input": "a"}
        assert http.post("/v1/embeddings", json=asked).status_code == 200
        assert http.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("cls_token", lambda states: states[0]),
        ("lasttoken", lambda states: states[-1]),
        ("max_tokens", lambda states: states.max(0).values),
    ],
)
def test_pooling_is_the_models_own(tmp_path: Path, pooling: str, expected: Any) -> None:
    folder = engine_models.encoder(tmp_path / "m", pooling=pooling)
    rules = encoder.rules_of(folder)
    assert rules is not None
    made = encoder.load(folder, rules, {})
    rows = [tokens_of(text) for text in TEXTS]
    vectors = made.vectors(rows)
    for row, vector in zip(rows, vectors, strict=True):
        with torch.no_grad():
            states = made.model(input_ids=torch.tensor([row])).last_hidden_state[0]
        whole = expected(states)
        assert np.abs(vector - (whole / whole.norm()).numpy()).max() < 1e-5


def test_a_model_made_to_be_cut_is_cut_to_length_one(tmp_path: Path) -> None:
    folder = engine_models.encoder(tmp_path / "m", matryoshka_dimensions=[8, 16])
    with RunningEncoder(tmp_path, folder) as running, running.openai() as client:
        whole = vectors_of(client.embeddings.create(model="tiny", input="a"))[0]
        cut = vectors_of(client.embeddings.create(model="tiny", input="a", dimensions=8))[0]
        assert np.abs(cut - whole[:8] / np.linalg.norm(whole[:8])).max() < 1e-6
        with pytest.raises(openai.BadRequestError, match="may be 8, 16, 24"):
            client.embeddings.create(model="tiny", input="a", dimensions=9)


def _without(path: str) -> Any:
    return lambda folder: (folder / path).unlink()


def _steps(*kinds: str) -> Any:
    modules = [{"path": "", "type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    return lambda folder: (folder / "modules.json").write_text(json.dumps(modules))


@pytest.mark.parametrize(
    ("spoil", "file", "rule"),
    [
        (_without("modules.json"), "modules.json", "BertModel gives vectors of tokens"),
        (_without("1_Pooling/config.json"), "1_Pooling/config.json", "missing"),
        (_steps("Transformer", "Dense"), "modules.json", "the step Dense"),
        (_steps("Transformer", "Normalize"), "modules.json", "no step pools"),
        (
            lambda folder: (folder / "1_Pooling/config.json").write_text(
                '{"pooling_mode_weightedmean_tokens": true}'
            ),
            "1_Pooling/config.json",
            "one way of pooling",
        ),
        (
            lambda folder: (folder / "modules.json").write_text("{}"),
            "modules.json",
            "no step pools",
        ),
        (lambda folder: (folder / "modules.json").write_text("[1]"), "modules.json", "not a list"),
    ],
)
def test_an_encoder_that_cannot_be_served_as_it_says_is_refused(
    folder: Path, tmp_path: Path, spoil: Any, file: str, rule: str
) -> None:
    shutil.copytree(folder, tmp_path / "m")
    spoil(tmp_path / "m")
    with pytest.raises(encoders.BadEncoder, match=rule) as found:
        encoder.rules_of(tmp_path / "m")
    assert found.value.file == file


# Through the gateway


async def _embeds(exchange: Exchange) -> None:
    data = [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]
    used = {"prompt_tokens": 5, "total_tokens": 5}
    await exchange.whole({"object": "list", "data": data, "model": "m", "usage": used})


@pytest.fixture(scope="module")
def door() -> Iterator[World]:
    with world() as found:
        found.engine.script = _embeds
        able = {"vectors": ("embedding",), "text": ("completions", "chat")}
        for name, capabilities in able.items():
            found.routes["p1", name] = found.route(name=name, capabilities=capabilities)
        yield found


def test_the_gateway_asks_and_writes_up_what_was_embedded(door: World) -> None:
    client = openai.OpenAI(base_url=door.url, api_key=SECRET, http_client=door.http, max_retries=0)
    answer = client.embeddings.create(model="vectors", input="hello", encoding_format="float")
    assert answer.data[0].embedding == [0.6, 0.8]
    record = wait_until(door.records)[-1]
    said = {name: record[name] for name in ("endpoint", "model", "prompt_tokens", "estimated")}
    assert said == {
        "endpoint": EMBEDDINGS, "model": "vectors", "prompt_tokens": 5, "estimated": False
    }  # fmt: skip
    assert record["completion_tokens"] == 0


@pytest.mark.parametrize(
    ("path", "model", "fields", "words"),
    [
        (CHAT, "vectors", {"messages": []}, f"embeds: ask it by POST {EMBEDDINGS}"),
        (COMPLETIONS, "vectors", {"prompt": "a"}, "embeds"),
        (EMBEDDINGS, "text", {"input": "a"}, f"generates text: ask it by POST {CHAT}"),
        (EMBEDDINGS, "vectors", {}, "input is missing"),
        (EMBEDDINGS, "vectors", {"input": "a", "stream": True}, "no streams"),
    ],
)
def test_a_model_is_asked_for_what_it_can_do(
    door: World, path: str, model: str, fields: dict[str, Any], words: str
) -> None:
    asked = len(door.engine.exchanges)
    answer = door.http.post(
        door.url.removesuffix("/v1") + path,
        json={"model": model} | fields,
        headers={"authorization": f"Bearer {SECRET}"},
    )
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert len(door.engine.exchanges) == asked


def test_no_money_is_set_aside_for_an_answer_without_tokens(door: World) -> None:
    key = Key(id="k", project_id="p1", organisation_id="o")
    route = door.route(context_length=4096)
    snapshot = Snapshot(
        budgets={("project", "p1"): Budget(left=1000, spent=0)}, prices={("o", "m"): (0, 1, 1)}
    )
    taken = [
        budgets.Budgets().take(
            snapshot=snapshot, key=key, routes=(route,), prompt_bytes=100, longest=longest
        )
        for longest in (None, 0)
    ]
    assert isinstance(taken[0], budgets.Aside)
    assert taken[0].amount == 356
    assert not isinstance(taken[1], budgets.Aside)
