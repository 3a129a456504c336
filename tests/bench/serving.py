"""Tokens per second served at 1, 8 and 32 streams: our engine against others on CPU.

    python tests/bench/serving.py [--rounds 3] [--tokens 48] [--model DIR] [--llama-python PYTHON]

The others are `transformers serve` with continuous batching and, where `--llama-python` names the
Python of an environment with it (see `llama_cpp.py`), llama.cpp. All run as their own servers with
one thread, the same float32 weights and the same streaming client, in alternated rounds. Without
`--model` the weights are random, in the shape and with the tokenizer of the demonstration's base
model, and never end a turn, so all generate exactly `--tokens` per answer. Two figures each: by
the clock (neighbours disturb it) and by the server's CPU time (they hardly do).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART_BASE = ROOT / "platform" / "slipway_demo" / "chart_base"
STREAMS = (1, 8, 32)
QUESTION = "华北地区2019年3月的销售额,用柱状图表示。 Show the sales of region {} in month {}."


@dataclass
class Server:
    """One server under test and how to reach it."""

    name: str
    process: subprocess.Popen[str]
    model: str
    address: str | int
    #: Fields of the request that only this one needs.
    more: dict[str, object] = field(default_factory=dict)
    rates: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in STREAMS})
    cpu_rates: dict[int, list[float]] = field(default_factory=lambda: {n: [] for n in STREAMS})

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.address, int):
            return await asyncio.open_connection("127.0.0.1", self.address, limit=1 << 20)
        return await asyncio.open_unix_connection(self.address, limit=1 << 20)

    def cpu_seconds(self) -> float:
        fields = (
            pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def answer(self, index: int, tokens: int) -> None:
        """One streamed chat answer; raises when it is not a whole one of `tokens` tokens."""
        message = {"role": "user", "content": QUESTION.format(index % 7, index % 12)}
        body = json.dumps(
            {
                "model": self.model,
                "messages": [message],
                "max_tokens": tokens,
                "temperature": 0,
                "stream": True,
                **self.more,
            }
        ).encode()
        reader, writer = await self.connect()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        data = await reader.read()
        writer.close()
        if not data.startswith(b"HTTP/1.1 200") or b'"length"' not in data:
            raise RuntimeError(f"{self.name} answered {data[:600]!r} … {data[-300:]!r}")

    async def load(self, streams: int, answers: int, tokens: int) -> None:
        """A closed loop of `streams` clients over `answers` answers; notes the rates."""
        left = iter(range(answers))

        async def client() -> None:
            for index in left:
                await self.answer(index, tokens)

        began, cpu = time.perf_counter(), self.cpu_seconds()
        await asyncio.gather(*(client() for _ in range(streams)))
        generated = answers * tokens
        self.rates[streams].append(generated / (time.perf_counter() - began))
        self.cpu_rates[streams].append(generated / (self.cpu_seconds() - cpu))


def random_model(target: pathlib.Path) -> pathlib.Path:
    """Random weights in the demonstration base's shape, without an end-of-turn token."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(CHART_BASE)
    config = AutoConfig.from_pretrained(CHART_BASE)
    config.eos_token_id = None
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    model.save_pretrained(target)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(target)
    return target


def start_ours(model: pathlib.Path, home: pathlib.Path, name: str = "bench") -> Server:
    order = {
        "socket": str(home / "engine.sock"),
        "workload": {
            "name": "bench",
            "kind": "serve",
            "inputs": {"base": model.as_uri()},
            "settings": {"served_name": name},
        },
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "slipway_runtime.serving"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(home / "ours.log").open("w"),
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "platform"), "OMP_NUM_THREADS": "1"},
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if "ready" in json.loads(line):
            return Server("slipway", process, name, order["socket"])
    raise SystemExit((home / "ours.log").read_text()[-2000:])


def start_theirs(model: pathlib.Path, home: pathlib.Path) -> Server:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(str(pathlib.Path(sys.executable).with_name("transformers")), "serve", str(model)),
            *("--continuous-batching", "--cb-num-blocks", "256", "--device", "cpu"),
            *("--dtype", "float32", "--port", str(port), "--host", "127.0.0.1"),
        ],
        stdout=(home / "theirs.log").open("w"),
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return Server("transformers serve", process, str(model), port)
        time.sleep(0.5)
    process.kill()
    raise SystemExit((home / "theirs.log").read_text()[-2000:])


def start_llama(model: pathlib.Path, home: pathlib.Path, python: pathlib.Path) -> Server:
    process = subprocess.Popen(
        [
            *(str(python), str(ROOT / "tests" / "bench" / "llama_cpp.py")),
            *(str(model), str(home / "model.gguf")),
        ],
        stdout=subprocess.PIPE,
        stderr=(home / "llama.log").open("w"),
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise SystemExit((home / "llama.log").read_text()[-2000:])
    port = int(json.loads(line)["address"].rsplit(":", 1)[1])
    return Server("llama.cpp", process, "bench", port, {"ignore_eos": True})


async def compare(servers: list[Server], *, rounds: int, tokens: int) -> None:
    for server in servers:  # warm all: first requests build caches and start threads
        await server.load(8, 16, tokens)
        server.rates[8].clear()
        server.cpu_rates[8].clear()
    for turn in range(rounds):
        for streams in STREAMS:
            for server in servers if turn % 2 == 0 else reversed(servers):
                await server.load(streams, max(6, 3 * streams), tokens)
    print(f"\n{'streams':>7}  {'by':6}" + "".join(f"{s.name:>22}" for s in servers) + "   ratios")
    for streams in STREAMS:
        for label, kind in (("clock", "rates"), ("CPU", "cpu_rates")):
            found = [getattr(server, kind)[streams] for server in servers]
            ratios = (
                statistics.median(a / b for a, b in zip(found[0], other, strict=True))
                for other in found[1:]
            )
            medians = "".join(f"{statistics.median(rates):>18.0f} t/s" for rates in found)
            print(f"{streams:>7}  {label:6}{medians}   {' '.join(f'{r:.2f}x' for r in ratios)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--llama-python", type=pathlib.Path)
    arguments = parser.parse_args()
    home = pathlib.Path(tempfile.mkdtemp(prefix="bench-"))
    servers: list[Server] = []
    try:
        model = arguments.model or random_model(home / "model")
        servers.append(start_ours(model.resolve(), home))
        servers.append(start_theirs(model.resolve(), home))
        if arguments.llama_python:
            servers.append(start_llama(model.resolve(), home, arguments.llama_python))
        asyncio.run(compare(servers, rounds=arguments.rounds, tokens=arguments.tokens))
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
