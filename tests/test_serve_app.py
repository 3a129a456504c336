"""The engine behind its socket, asked by the ordinary `openai` client, and run by Ray Serve."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import engine_models
import httpx
import openai
import pytest
import torch
from engine_world import Running

from slipway_contracts.workload import (
    Kind,
    Observation,
    State,
    Workload,
    observation_from_json,
)
from slipway_runtime.serving import (
    exchange,
    launch,
    loading,
    lora,
    scheduler,
    server,
    sockets,
    vllm,
)

PLATFORM = str(pathlib.Path(server.__file__).parents[2])
HELLO = [{"role": "user", "content": "华北地区的销售额?"}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("engine")) as one:
        yield one


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with running.openai() as one:
        yield one


def test_the_socket_is_for_this_user_alone(running: Running) -> None:
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o600


def test_an_answer_is_what_generate_says(running: Running, client: openai.OpenAI) -> None:
    tokenizer = running.served.tokenizer
    prompt = tokenizer.apply_chat_template(HELLO, add_generation_prompt=True)["input_ids"]
    answer = client.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=24, extra_body={"ignore_eos": True}
    )
    wanted = engine_models.greedy(running.served.model, prompt, 24)
    assert answer.choices[0].message.content == tokenizer.decode(wanted, skip_special_tokens=True)
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.prompt_tokens == len(prompt)
    assert answer.usage.completion_tokens == 24
    assert answer.usage.total_tokens == len(prompt) + 24
    assert (answer.model, answer.object) == ("tiny", "chat.completion")


def test_a_stream_says_what_the_whole_answer_says(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "tiny", "messages": HELLO, "max_tokens": 40}
    asked["extra_body"] = {"ignore_eos": True}
    whole = client.chat.completions.create(**asked)
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert reasons == [None] * (len(reasons) - 1) + ["length"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_stream_on_the_wire_ends_with_done_and_carries_the_request_id(running: Running) -> None:
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 3, "stream": True}
    with running.http() as http:
        answer = http.post("/v1/chat/completions", json=body, headers={"x-request-id": "abc-1"})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-request-id"] == "abc-1"
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all("usage" not in json.loads(event[6:]) for event in events[:-2])


def test_prompts_are_all_answered_or_refused(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "tiny", "max_tokens": 1}
    whole = client.completions.create(prompt=["bar"] * 128, **asked)
    assert [choice.index for choice in whole.choices] == list(range(128))
    for prompts, n in ((129, 1), (65, 2)):
        with pytest.raises(openai.BadRequestError, match=f"holds {prompts} prompts") as refused:
            client.completions.create(prompt=["bar"] * prompts, n=n, **asked)
        assert refused.value.param == "prompt"


def test_several_choices_and_prompts(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "tiny", "max_tokens": 8, "temperature": 1.0, "seed": 11}
    two = client.completions.create(prompt=["bar", "chart"], n=2, **asked)
    assert [choice.index for choice in two.choices] == [0, 1, 2, 3]
    assert len({choice.text for choice in two.choices}) > 2
    alone = client.completions.create(prompt="bar", **asked)
    assert alone.choices[0].text == two.choices[0].text
    assert two.usage.completion_tokens <= 32
    streamed: dict[int, str] = dict.fromkeys(range(4), "")
    for chunk in client.completions.create(prompt=["bar", "chart"], n=2, stream=True, **asked):
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert list(streamed.values()) == [choice.text for choice in two.choices]


def test_log_probabilities_have_the_wire_shape(client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=4, logprobs=True, top_logprobs=2
    )
    content = chat.choices[0].logprobs.content
    assert 1 <= len(content) <= 4
    assert all(len(token.top_logprobs) == 2 for token in content)
    assert content[0].logprob == content[0].top_logprobs[0].logprob <= 0
    old = client.completions.create(model="tiny", prompt="bar", max_tokens=4, logprobs=1)
    found = old.choices[0].logprobs
    assert len(found.tokens) == len(found.token_logprobs) == len(found.text_offset)
    assert found.text_offset[0] == 0


def test_models_health_and_metrics(running: Running, client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    with running.http() as http:
        health = http.get("/health")
        metrics = http.get("/metrics").json()
    assert (health.status_code, health.json()["state"]) == (200, "ready")
    assert metrics["generated_tokens"] >= 1  # the one that made it ready
    assert metrics["max_rows"] == 4
    assert metrics["models"] == ["tiny"]


@pytest.mark.parametrize(
    ("fields", "status", "param", "code", "words"),
    [
        ({"model": "other"}, 404, "model", "model_not_found", "serves tiny"),
        ({"max_tokens": 250}, 400, "messages", "context_length_exceeded", "256 tokens"),
        ({"temperature": 3}, 400, "temperature", None, "from 0 to 2, not 3"),
        ({"top_p": "x"}, 400, "top_p", None, "not 'x'"),
        ({"max_tokens": 0}, 400, "max_tokens", None, "from 1 or more, not 0"),
        ({"n": 129}, 400, "n", None, "from 1 to 128"),
        ({"stop": [""]}, 400, "stop", None, "non-empty"),
        ({"stop": {}}, 400, "stop", None, "a string or a list"),
        ({"stop": 0}, 400, "stop", None, "a string or a list"),
        ({"stop": False}, 400, "stop", None, "a string or a list"),
        ({"extra_body": {"top_k": 2**70}}, 400, "top_k", None, "from 0 to 1000000"),
        (
            {"prediction": {"type": "content", "content": "x"}},
            400,
            "prediction",
            "unsupported_parameter",
            "leave it out",
        ),
        ({"logit_bias": {"999": 1}}, 400, "logit_bias", None, "must map token ids"),
        ({"messages": []}, 400, "messages", None, "non-empty list"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages[0].role", None, "robot"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            400,
            "messages[0].content",
            None,
            "type text only",
        ),
        ({"extra_body": {"colour": 1}}, 400, "colour", "unknown_parameter", "colour"),
        ({"audio": {"voice": "x"}}, 400, "audio", "unsupported_parameter", "leave it out"),
        ({"functions": [{"name": "f"}]}, 400, "functions", "unsupported_parameter", "use tools"),
        ({"top_logprobs": 2}, 400, "top_logprobs", None, "needs `logprobs`"),
        ({"extra_body": {"logprobs": 5}}, 400, "logprobs", None, "true or false, not 5"),
    ],
)
def test_a_bad_request_is_refused_with_its_parameter_and_rule(
    client: openai.OpenAI, fields: dict[str, Any], status: int, param: str, code: str, words: str
) -> None:
    asked = {"model": "tiny", "messages": HELLO} | fields
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(**asked)
    error = refused.value
    assert (error.status_code, error.param, error.code) == (status, param, code)
    assert words in error.message
    assert error.request_id


def test_what_is_no_request_at_all(running: Running) -> None:
    with running.http() as http:
        assert http.post("/v1/chat/completions", content=b"{").status_code == 400
        assert http.post("/v1/chat/completions", content=b"[" * 100_000).status_code == 400
        assert http.get("/v1/nothing").json()["error"]["code"] == "unknown_url"
        assert http.get("/v1/completions").status_code == 405
        large = b" " * (exchange.MAX_BODY_BYTES + 1)
        assert http.post("/v1/completions", content=large).status_code == 413


def until(true: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := true():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def test_hanging_up_frees_the_row(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    work = running.served.engine.scheduler
    step = work.step
    monkeypatch.setattr(work, "step", lambda: (time.sleep(0.02), step())[1])  # a slow model
    before = work.counts["cancelled"]
    for stream in (True, False):
        body = {"model": "tiny", "prompt": "bar", "max_tokens": 240, "ignore_eos": True}
        data = json.dumps(body | {"stream": stream}).encode()
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(str(running.path))
        head = f"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n"
        caller.sendall(head.encode() + data)
        until(lambda: work.running)
        caller.close()
        until(lambda: not work.running)
    assert work.counts["cancelled"] == before + 2


def test_an_error_in_mid_stream_is_an_event_and_before_it_a_status(
    running: Running, client: openai.OpenAI
) -> None:
    work = running.served.engine.scheduler
    decode = work.layout.decode

    def break_at(length: int) -> Callable[..., Any]:
        def broken(*arguments: Any) -> Any:
            if work.layout.lengths[0] >= length:
                raise MemoryError("no room")
            return decode(*arguments)

        return broken

    asked: dict[str, Any] = {"model": "tiny", "prompt": [9, 8, 7], "max_tokens": 50}
    asked["extra_body"] = {"ignore_eos": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work.layout, "decode", break_at(20))
        chunks = iter(client.completions.create(stream=True, **asked))
        next(chunks)
        with pytest.raises(openai.APIError, match="MemoryError: no room") as broken:
            list(chunks)
        assert broken.value.code == "engine_error"
        patch.setattr(work.layout, "decode", break_at(0))
        with pytest.raises(openai.InternalServerError, match="MemoryError"):
            client.completions.create(**asked)
    assert client.completions.create(**asked).usage.completion_tokens == 50


def test_too_many_at_once_are_told_when_to_come_back(tmp_path: pathlib.Path) -> None:
    with Running(tmp_path, max_rows=1, max_queue=1) as busy:
        work = busy.served.engine.scheduler
        step = work.step
        work.step = lambda: (time.sleep(0.05), step())[1]
        asked = {"max_tokens": 20, "ignore_eos": True}
        first = threading.Thread(target=busy.complete, kwargs=asked)
        first.start()
        until(lambda: work.running)
        second = threading.Thread(target=busy.complete, kwargs=asked)
        second.start()
        until(lambda: work.waiting)
        refused = busy.complete(**asked)
        first.join()
        second.join()
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1


def test_a_request_that_takes_too_long_is_ended(tmp_path: pathlib.Path) -> None:
    with Running(tmp_path, request_timeout_seconds=0.0) as slow:
        answer = slow.complete()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")


def test_adapters_are_attached_and_detached_while_it_runs(
    running: Running, client: openai.OpenAI, tmp_path: pathlib.Path
) -> None:
    import tiny_models

    folder = tiny_models.adapter(tmp_path / "adapter", width=32)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["target_modules"] == ["q_proj", "up_proj"]
    with running.http() as http:
        refused = http.post(
            "/v1/load_lora_adapter", json={"lora_name": "spec", "lora_path": str(tmp_path)}
        )
        assert "adapter_config.json" in refused.json()["error"]["message"]
        wrong = http.post(
            "/v1/load_lora_adapter", json={"lora_name": "spec", "lora_path": str(folder)}
        )
        assert "made for another base" in wrong.json()["error"]["message"]
        body = {"lora_name": "spec", "lora_path": str(own_adapter(tmp_path / "own"))}
        assert http.post("/v1/load_lora_adapter", json=body).status_code == 200
        assert [model.id for model in client.models.list()] == ["tiny", "spec"]
        asked: dict[str, Any] = {"prompt": [9, 8, 7], "max_tokens": 12}
        base = client.completions.create(model="tiny", **asked)
        tuned = client.completions.create(model="spec", **asked)
        assert base.choices[0].text != tuned.choices[0].text
        assert http.post("/v1/unload_lora_adapter", json={"lora_name": "spec"}).status_code == 200
        assert [model.id for model in client.models.list()] == ["tiny"]
    merged = lora.merge(engine_models.model(), tmp_path / "own")
    wanted = engine_models.greedy(merged, [9, 8, 7], 12)
    text = running.served.tokenizer.decode(wanted, skip_special_tokens=True)
    assert tuned.choices[0].text == text


def own_adapter(folder: pathlib.Path) -> pathlib.Path:
    """A LoRA adapter for the tests' Llama, on one layer."""
    from safetensors.torch import save_file

    folder.mkdir()
    torch.manual_seed(1)
    name = "base_model.model.model.layers.1.self_attn.q_proj"
    tensors = {
        f"{name}.lora_A.weight": torch.randn(4, 32),
        f"{name}.lora_B.weight": torch.randn(32, 4),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]})
    )
    return folder


def test_stopping_lets_answers_end_and_unlinks_the_socket(tmp_path: pathlib.Path) -> None:
    with Running(tmp_path) as one:
        work = one.served.engine.scheduler
        step = work.step
        work.step = lambda: (time.sleep(0.01), step())[1]
        answers = []
        caller = threading.Thread(
            target=lambda: answers.append(one.complete(max_tokens=100, ignore_eos=True))
        )
        caller.start()
        until(lambda: work.running)
        one.stop()
        caller.join()
    assert answers[0].json()["usage"]["completion_tokens"] == 100
    assert not one.path.exists()


def test_a_path_too_long_for_a_socket_is_refused_with_its_length(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError, match="may have 107 bytes"):
        server.bind(tmp_path / ("x" * 120))


def test_a_template_that_refuses_is_the_callers_fault(tmp_path: pathlib.Path) -> None:
    with Running(tmp_path) as one, one.openai() as client:
        original = one.served.tokenizer.chat_template
        one.served.tokenizer.chat_template = "{{ raise_exception('users only') }}"
        try:
            with pytest.raises(openai.BadRequestError, match="users only"):
                client.chat.completions.create(model="tiny", messages=HELLO)
            one.served.tokenizer.chat_template = None
            with pytest.raises(openai.BadRequestError) as refused:
                client.chat.completions.create(model="tiny", messages=HELLO)
            assert refused.value.code == "no_chat_template"
        finally:
            one.served.tokenizer.chat_template = original


def test_only_what_is_the_models_own_default_is_drawn() -> None:
    model = engine_models.model()
    assert loading.Served(model, engine_models.tokenizer(), {}).sampling["temperature"] == 0
    model.generation_config.update(do_sample=True, temperature=0.7, top_p=0.8, top_k=20)
    drawn = loading.Served(model, engine_models.tokenizer(), {}).sampling
    assert drawn == {"temperature": 0.7, "top_p": 0.8, "top_k": 20}


# --- vLLM: what can be tested without it ---------------------------------------------------------


def workload(**fields: Any) -> Workload:
    return Workload(**{"name": "serve-abc-1", "kind": Kind.SERVE} | fields)


def test_the_engine_is_chosen_by_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vllm.choose_engine(workload(gpus=1)) == "transformers"
    with pytest.raises(vllm.EngineUnavailable, match="the vllm package"):
        vllm.choose_engine(workload(gpus=1, settings={"engine": "vllm"}))
    with pytest.raises(vllm.EngineUnavailable, match="'tgi'"):
        vllm.choose_engine(workload(settings={"engine": "tgi"}))
    monkeypatch.setattr(vllm.importlib.util, "find_spec", lambda name: name)
    assert vllm.choose_engine(workload(gpus=1)) == "vllm"
    assert vllm.choose_engine(workload()) == "transformers"
    assert (
        vllm.choose_engine(workload(gpus=1, settings={"engine": "transformers"})) == "transformers"
    )
    with pytest.raises(vllm.EngineUnavailable, match="gpus is 0"):
        vllm.choose_engine(workload(settings={"engine": "vllm"}))


def test_the_vllm_command_line() -> None:
    settings = {"served_name": "chart", "max_context": 4096, "max_rows": 64}
    line = vllm.command(
        workload(gpus=2, settings=settings),
        pathlib.Path("/run/e.sock"),
        pathlib.Path("/models/base"),
        {"chart": pathlib.Path("/models/lora")},
    )
    assert line[1:] == [
        *("-m", "vllm.entrypoints.openai.api_server"),
        *("--model", "/models/base", "--served-model-name", "chart:base", "--uds", "/run/e.sock"),
        *("--tensor-parallel-size", "2", "--max-model-len", "4096", "--max-num-seqs", "64"),
        *("--enable-lora", "--lora-modules", "chart=/models/lora"),
    ]
    plain = vllm.command(workload(), pathlib.Path("/s"), pathlib.Path("/b"), {})
    assert plain[plain.index("--served-model-name") + 1] == "serve-abc-1"
    assert "--enable-lora" not in plain


STAND_IN = """
import http.server, json, os, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def address_string(self): return ""
    def log_message(self, *a): pass
socketserver.UnixStreamServer(sys.argv[1], Handler).serve_forever()
"""


def test_another_server_is_kept_until_told_to_stop(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "v.sock"

    async def story() -> list[str]:
        told: list[str] = []
        stop = asyncio.Event()

        def ready() -> None:
            told.append("ready")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            stop.set()

        line = [sys.executable, "-c", STAND_IN, str(path)]
        await vllm.run(line, path, model="m", ready=ready, stop=stop, grace_seconds=5)
        line = [sys.executable, "-c", "raise SystemExit(3)"]
        with pytest.raises(RuntimeError, match="status 3"):
            await vllm.run(
                line, path, model="m", ready=ready, stop=asyncio.Event(), grace_seconds=5
            )
        return told

    assert asyncio.run(story()) == ["ready"]
    assert not path.exists()


# --- processes -----------------------------------------------------------------------------------

WARM_PARENT = """
import select, sys, pathlib
from slipway_runtime.serving import warm
door = warm.Door(warm.door_path(pathlib.Path(sys.argv[1])))
warm.preload()
while True:
    readable, _, _ = select.select([door, sys.stdin], [], [], 0.2)
    door.reap()
    if sys.stdin in readable:
        break
    if door in readable:
        door.answer()
"""

#: Serve is driven by a process of its own, as it is by the node agent; it obeys JSON lines.
DRIVER = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # Ray prints what it likes
from slipway_contracts import workload as contract
from slipway_runtime import places
from slipway_runtime.node import ray_head
ray_head.prepare_environment()
ray_head.start()
from slipway_runtime.serving import app
app.start()
print(json.dumps("started"), file=answers)
for line in sys.stdin:
    verb, value = json.loads(line)
    run_dir = places.run_dir()
    match verb:
        case "deploy":
            answer = app.deploy(contract.workload_from_json(json.dumps(value)), run_dir)
        case "observe":
            answer = json.loads(contract.to_json(app.observe(value, run_dir)))
        case "delete":
            answer = app.delete(value, run_dir)
    print(json.dumps(answer), file=answers)
"""


def python(code: str, *arguments: str, home: pathlib.Path) -> subprocess.Popen[str]:
    own = {"PYTHONPATH": PLATFORM, "SLIPWAY_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with (home / "stderr.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | own,
        )


class Node:
    """Ray, Serve and a warm parent, in processes of their own."""

    def __init__(self, home: pathlib.Path) -> None:
        self.home, self.run_dir = home, home / "run"
        self._parent = python(WARM_PARENT, str(self.run_dir), home=home)
        self._driver = python(DRIVER, home=home)
        assert self._read() == "started"

    def deploy(self, wanted: Workload) -> None:
        self._do("deploy", dataclasses.asdict(wanted))

    def observe(self, name: str) -> Observation:
        return observation_from_json(json.dumps(self._do("observe", name)))

    def delete(self, name: str) -> None:
        self._do("delete", name)

    def engines(self) -> list[int]:
        """Process ids of running engines: those that hold one of the sockets' replicas alive."""
        script = f"SLIPWAY_HOME={self.home}".encode()
        found = []
        for folder in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                mine = script in (folder / "environ").read_bytes().split(b"\0")
                if mine and os.getsid(int(folder.name)) == int(folder.name):
                    parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                    if parent == self._parent.pid:
                        found.append(int(folder.name))
        return found

    def replicas(self) -> list[int]:
        """Process ids of the replicas, by the title that Ray gives its workers."""
        found = []
        for folder in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                title = (folder / "cmdline").read_bytes()
                mine = f"SLIPWAY_HOME={self.home}".encode() in (folder / "environ").read_bytes()
                if mine and title.startswith(b"ray::ServeReplica"):
                    found.append(int(folder.name))
        return found

    def close(self) -> None:
        for process in (self._driver, self._parent):
            process.kill()
            process.communicate()

    def _do(self, verb: str, value: Any) -> Any:
        self._driver.stdin.write(json.dumps([verb, value]) + "\n")
        self._driver.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        line = self._driver.stdout.readline()
        assert line, (self.home / "stderr.log").read_text()[-3000:]
        return json.loads(line)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Slow to start, therefore one for all tests of this file."""
    one = Node(tmp_path_factory.mktemp("n"))
    yield one
    one.close()


def ask(observed: Observation) -> str:
    path = observed.endpoints[0].removeprefix("unix:")
    with (
        httpx.Client(transport=httpx.HTTPTransport(uds=path), timeout=60) as http,
        openai.OpenAI(base_url="http://x/v1", api_key="-", http_client=http) as client,
    ):
        answer = client.chat.completions.create(
            model="tiny", messages=HELLO, max_tokens=16, extra_body={"ignore_eos": True}
        )
    return str(answer.choices[0].message.content)


def test_slow_a_deployment_answers_survives_kills_scales_and_goes(
    node: Node, tmp_path: pathlib.Path
) -> None:
    model = engine_models.save(tmp_path / "model")
    wanted = workload(inputs={"base": model.as_uri()}, settings={"served_name": "tiny"})
    name = wanted.name
    assert node.observe(name).state is State.ABSENT
    node.delete(name)  # deleting what is gone is no error

    def whole(copies: int) -> Observation | None:
        seen = node.observe(name)
        assert seen.state is not State.FAILED, seen
        return seen if len(seen.endpoints) == copies and not seen.reason else None

    node.deploy(wanted)
    starting = until(lambda: (o := node.observe(name)).state is State.WAITING and o)
    assert starting.reason
    first = until(lambda: whole(1), 120)
    words = ask(first)
    prompt = engine_models.tokenizer().apply_chat_template(HELLO, add_generation_prompt=True)
    answer = engine_models.greedy(engine_models.model(), prompt["input_ids"], 16)
    assert words == engine_models.tokenizer().decode(answer, skip_special_tokens=True)
    node.deploy(wanted)  # applying again changes nothing
    assert node.observe(name) == first

    (engine,), (replica,) = node.engines(), node.replicas()
    os.kill(replica, signal.SIGKILL)
    until(lambda: engine not in node.engines())  # it had nobody to live for
    healed = until(lambda: whole(1), 60)
    assert healed.endpoints != first.endpoints
    assert ask(healed) == words

    (engine,) = node.engines()
    os.kill(engine, signal.SIGKILL)
    down = until(lambda: "ended" in (o := node.observe(name)).reason and o)
    assert down.state is State.WAITING
    assert "out of memory" in down.reason
    one = until(lambda: whole(1), 60)

    node.deploy(dataclasses.replace(wanted, replicas=2))
    two = until(lambda: whole(2), 60)
    assert set(one.endpoints) < set(two.endpoints)  # the first copy was left alone
    node.deploy(wanted)
    last = until(lambda: whole(1), 60)
    assert ask(last) == words

    node.delete(name)
    until(lambda: node.observe(name).state is State.ABSENT, 60)
    node.delete(name)
    assert list((node.run_dir / "engines").iterdir()) == []
    assert node.engines() == []


def test_slow_a_model_that_cannot_be_served_is_said(node: Node, tmp_path: pathlib.Path) -> None:
    wanted = workload(name="serve-bad-1", inputs={"base": tmp_path.as_uri()})
    node.deploy(wanted)
    failed = until(lambda: (o := node.observe(wanted.name)).state is State.FAILED and o, 60)
    assert "no config.json" in failed.reason
    node.delete(wanted.name)
    until(lambda: node.observe(wanted.name).state is State.ABSENT, 60)


def test_slow_without_a_warm_parent_an_engine_is_started_afresh(tmp_path: pathlib.Path) -> None:
    model = engine_models.save(tmp_path / "model")
    path = tmp_path / "e.sock"
    wanted = workload(inputs={"base": model.as_uri()}, settings={"served_name": "tiny"})

    async def story() -> list[str]:
        process = await launch.launch(tmp_path / "none", tmp_path / "logs" / "e.log", threads=1)
        process.order({"socket": str(path), "workload": dataclasses.asdict(wanted)})
        said = []
        while line := await process.lines.readline():
            said.append(next(iter(json.loads(line))))
            if said[-1] == "ready":
                break
        status, health = await asyncio.to_thread(sockets.get, path, "/health")
        assert (status, health["state"]) == (200, "ready")
        process.end_input()
        assert await process.wait() == "ended with status 0"
        return said

    said = asyncio.run(story())
    assert said[-1] == "ready"
    assert set(said[:-1]) == {"stage"}
    assert not path.exists()
    assert "Masked4D" in (tmp_path / "logs" / "e.log").read_text()


def test_an_engine_without_its_parent_ends_by_itself(tmp_path: pathlib.Path) -> None:
    order = {
        "socket": str(tmp_path / "e.sock"),
        "workload": dataclasses.asdict(workload(inputs={"base": tmp_path.as_uri()})),
    }
    process = subprocess.run(
        [sys.executable, "-m", "slipway_runtime.serving"],
        input=json.dumps(order) + "\n",
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": PLATFORM},
        timeout=60,
    )
    last = json.loads(process.stdout.splitlines()[-1])
    assert process.returncode == 1
    assert last["permanent"] is True
    assert "no config.json" in last["error"]


def test_the_run_directory_tells_apart_what_is_alike_and_forgets_the_dead(
    tmp_path: pathlib.Path,
) -> None:
    mine = sockets.Place(tmp_path, "serve-a-1", "r1")
    other = sockets.Place(tmp_path, "serve-a-1-b", "r2")
    mine.say("loading the model")
    other.say("something else")
    mine.fail("first", permanent=True)
    mine.fail("second", permanent=True)
    seen = sockets.look(tmp_path, "serve-a-1")
    assert (seen.stage, seen.error, seen.times) == ("loading the model", "second", 2)
    assert seen.permanent
    mine.recovered()
    assert not sockets.look(tmp_path, "serve-a-1").permanent
    dead = server.bind(mine.socket)
    dead.close()
    assert sockets.look(tmp_path, "serve-a-1").ready == ()
    assert mine.socket.exists()  # it may be about to listen
    os.utime(mine.socket, (0, 0))
    sockets.look(tmp_path, "serve-a-1")
    assert not mine.socket.exists()
    sockets.forget(tmp_path, "serve-a-1")
    assert [path.name for path in (tmp_path / "engines").iterdir()] == ["serve-a-1-b-r2.stage"]


def test_a_failed_request_names_itself() -> None:
    error = scheduler.RequestFailed("late", code="deadline_exceeded")
    assert (str(error), error.code) == ("late", "deadline_exceeded")
