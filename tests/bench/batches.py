"""A batch against the same requests sent live, what live traffic feels of it, and its memory.

    python tests/bench/batches.py [--rounds 3] [--lines 480] [--tokens 48]
    python tests/bench/batches.py --large

The first: our engine on one thread with random weights in the shape of the demonstration's base,
the web process and the worker as processes of their own. Alternated: 32 clients in a closed loop
through the gateway, and a batch of the same requests, from its creation to its end. Then one
client alone, and the same client while a batch runs. The second: 50,000 lines, 200 MB, against
an engine that answers at once; the largest PSS of web process and worker from upload to the
download of the answers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "platform"), str(ROOT / "tests" / "bench")]

import serving  # noqa: E402 - the path first
from door_world import Door  # noqa: E402
from gateway_world import Exchange, completion_of  # noqa: E402

CHAT = "/v1/chat/completions"
CLIENTS = 32
LARGE_LINES, LARGE_BYTES = 50_000, 200_000_000


def body(index: int, tokens: int) -> dict[str, Any]:
    message = {"role": "user", "content": serving.QUESTION.format(index % 7, index % 12)}
    return {"model": "m", "messages": [message], "max_tokens": tokens, "temperature": 0}


def check(answer: httpx.Response, tokens: int) -> None:
    answer.raise_for_status()
    if answer.json()["usage"]["completion_tokens"] != tokens:
        raise SystemExit(f"an answer of another length: {answer.text[:500]}")


def line(index: int, asked: dict[str, Any]) -> bytes:
    whole = {"custom_id": f"r{index}", "method": "POST", "url": CHAT, "body": asked}
    return json.dumps(whole).encode() + b"\n"


class Bench:
    """A door with web process and worker apart."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.web = door.start("0")
        self.worker = door.start("only")
        self.head = {"authorization": f"Bearer {door.keys['acme-owner']}"}

    def upload(self, path: pathlib.Path) -> str:
        with path.open("rb") as data:
            file = self.door.http.post(
                f"{self.door.url}/files", headers=self.head, data={"purpose": "batch"},
                files={"file": ("in.jsonl", data)}, timeout=300,
            ).raise_for_status()  # fmt: skip
        return str(file.json()["id"])

    def begin(self, file_id: str) -> str:
        asked = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
        made = self.door.call("POST", "batches", json=asked).raise_for_status()
        return str(made.json()["id"])

    def end(self, batch: str) -> dict[str, Any]:
        while True:
            found: dict[str, Any] = self.door.call("GET", f"batches/{batch}").json()
            if found["status"] not in {"validating", "in_progress", "finalizing"}:
                counts = found["request_counts"]
                if found["status"] != "completed" or counts["failed"] or not counts["total"]:
                    raise SystemExit(f"the batch ended as {json.dumps(found)[:1000]}")
                return found
            time.sleep(0.1)

    def batch(self, path: pathlib.Path, tokens: int) -> float:
        """Tokens per second from creation to end."""
        file_id = self.upload(path)
        began = time.perf_counter()
        found = self.end(self.begin(file_id))
        spent = time.perf_counter() - began
        if found["usage"]["output_tokens"] != found["request_counts"]["total"] * tokens:
            raise SystemExit(f"answers of another length: {found['usage']}")
        return float(found["usage"]["output_tokens"] / spent)

    def live(self, count: int, tokens: int) -> float:
        """Tokens per second of a closed loop."""
        left = iter(range(count))

        async def client(http: httpx.AsyncClient) -> None:
            for index in left:
                answer = await http.post(f"{self.door.url}/chat/completions",
                                         json=body(index, tokens))  # fmt: skip
                check(answer, tokens)

        async def all_of_them() -> None:
            limits = httpx.Limits(max_connections=CLIENTS)
            async with httpx.AsyncClient(headers=self.head, timeout=120, limits=limits) as http:
                await asyncio.gather(*(client(http) for _ in range(CLIENTS)))

        began = time.perf_counter()
        asyncio.run(all_of_them())
        return count * tokens / (time.perf_counter() - began)

    def felt(self, tokens: int, until: Any) -> list[float]:
        """Seconds of each answer to one client that asks on until told to stop."""
        found = []
        while not until(found):
            began = time.perf_counter()
            answer = self.door.call("POST", "chat/completions", json=body(0, tokens))
            check(answer, tokens)
            found.append(time.perf_counter() - began)
        return found


@contextlib.contextmanager
def door_in(folder: pathlib.Path) -> Iterator[Door]:
    door = Door(folder)
    try:
        yield door
    finally:
        door.close()


def compare(home: pathlib.Path, *, rounds: int, lines: int, tokens: int) -> None:
    engine = serving.start_ours(serving.random_model(home / "model"), home, name="m")
    try:
        (home / "door").mkdir()
        with door_in(home / "door") as door:
            door.engine.address = f"unix:{engine.address}"
            bench = Bench(door)
            path = home / "in.jsonl"
            path.write_bytes(b"".join(line(n, body(n, tokens)) for n in range(lines)))
            # Both once, so that nothing is imported while it is measured.
            few = home / "few.jsonl"
            few.write_bytes(b"".join(line(n, body(n, tokens)) for n in range(CLIENTS)))
            bench.live(CLIENTS, tokens)
            bench.batch(few, tokens)
            rates: dict[str, list[float]] = {"live": [], "batch": []}
            for turn in range(rounds):
                for kind in rates if turn % 2 == 0 else reversed(rates):
                    rate = bench.batch(path, tokens) if kind == "batch" else bench.live(
                        lines, tokens)  # fmt: skip
                    rates[kind].append(rate)
            ratio = statistics.median(b / a for a, b in zip(*rates.values(), strict=True))
            for kind, found in rates.items():
                print(f"{kind:6} {statistics.median(found):7.0f} tokens/s")
            print(f"batch / live {ratio:.2f} (medians of {rounds} rounds)")
            alone = bench.felt(tokens, lambda found: len(found) >= 30)
            batch = bench.begin(bench.upload(path))
            beside = bench.felt(tokens, lambda _: ended(door, batch))
            bench.end(batch)
            for name, found in (("alone", alone), ("while a batch runs", beside)):
                p50, p99 = statistics.median(found), sorted(found)[int(0.99 * len(found))]
                print(f"one live client {name}: p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, "
                      f"{len(found)} answers")  # fmt: skip
    finally:
        engine.process.kill()
        engine.process.wait()


def ended(door: Door, batch: str) -> bool:
    counts = door.call("GET", f"batches/{batch}").json()["request_counts"]
    return bool(counts["total"]) and counts["completed"] > 0.95 * counts["total"]


def pss_mb(pid: int) -> float:
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.partition("\nPss:")[2].split()[0]) / 1024


def large(home: pathlib.Path) -> None:
    filler = "x" * (LARGE_BYTES // LARGE_LINES - 180)
    path = home / "in.jsonl"
    with path.open("wb") as out:
        for n in range(LARGE_LINES):
            asked = {"model": "m", "messages": [{"role": "user", "content": filler}]}
            out.write(line(n, asked))

    async def at_once(exchange: Exchange) -> None:
        exchange.body, exchange.asked = b"", {}
        await exchange.whole(completion_of("m", "fine", 7, 5))
        door.engine.exchanges.clear()

    with door_in(home) as door:
        door.engine.script = at_once
        bench = Bench(door)
        processes = {"web": bench.web.pid, "worker": bench.worker.pid}
        before = {name: pss_mb(pid) for name, pid in processes.items()}
        most, over = dict(before), threading.Event()

        def watch() -> None:
            while not over.wait(0.5):
                for name, pid in processes.items():
                    most[name] = max(most[name], pss_mb(pid))

        watching = threading.Thread(target=watch)
        watching.start()
        began = time.perf_counter()
        file_id = bench.upload(path)
        uploaded = time.perf_counter()
        batch = bench.begin(file_id)
        found = bench.end(batch)
        asked_all = time.perf_counter()
        read = 0
        url = f"{door.url}/files/{found['output_file_id']}/content"
        with door.http.stream("GET", url, headers=bench.head) as answer:
            for piece in answer.iter_bytes():
                read += piece.count(b"\n")
        over.set()
        watching.join()
        print(f"{LARGE_LINES} lines, {path.stat().st_size / 1e6:.0f} MB: uploaded in "
              f"{uploaded - began:.1f} s, answered in {asked_all - uploaded:.0f} s, "
              f"{read} answers read")  # fmt: skip
        for name in processes:
            print(f"{name}: PSS {before[name]:.0f} MB before, {most[name]:.0f} MB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=480)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = pathlib.Path(folder)
        if given.large:
            large(home)
        else:
            compare(home, rounds=given.rounds, lines=given.lines, tokens=given.tokens)


if __name__ == "__main__":
    main()
