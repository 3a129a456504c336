"""Speed and memory of checking a chat JSONL: ours against json, orjson and pyarrow, in turn.

Run: `python tests/bench/validation.py [--megabytes 400] [--rounds 5]`. Each contender reads the
same page-cached file in a fresh process; figures are gigabytes per CPU second (user and system,
start of the interpreter excluded), the median over rounds that go round all contenders.
Ours also checks every rule, hashes, counts duplicates, indexes and writes statistics; the others
do as much as their name says.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CONTENDERS = {
    "slipway check (all rules, SHA-256, duplicates, index, statistics)": """
import django; django.setup()
from slipway.datasets.services import checking
def run(path):
    with open(os.devnull, "wb") as out, open(os.devnull, "wb") as faults:
        found = checking.check_file(
            lambda: open(path, "rb"), given="", canonical=out, faults=faults
        )
    assert found.verbatim and not found.fault_count
    return found.rows
""",
    "slipway check, file to be rewritten (CRLF)": """
import django; django.setup()
from slipway.datasets.services import checking
def run(path):
    with open(path + ".out", "wb") as out, open(os.devnull, "wb") as faults:
        found = checking.check_file(
            lambda: open(path + ".crlf", "rb"), given="", canonical=out, faults=faults
        )
    assert not found.verbatim and not found.fault_count
    os.unlink(path + ".out")
    return found.rows
""",
    "json.loads and the same rules": """
import json
from slipway_contracts import formats
def run(path):
    count = 0
    with open(path, "rb") as file:
        for line in file:
            row, faults = formats.read(json.loads(line), formats.Format.OPENAI)
            assert not faults
            count += 1
    return count
""",
    "json.loads alone": """
import json
def run(path):
    with open(path, "rb") as file:
        return sum(1 for line in file if json.loads(line))
""",
    "orjson.loads alone": """
import orjson
def run(path):
    with open(path, "rb") as file:
        return sum(1 for line in file if orjson.loads(line))
""",
    "pyarrow.json (builds columns, checks nothing)": """
import pyarrow.json
def run(path):
    with pyarrow.json.open_json(path, pyarrow.json.ReadOptions(use_threads=False)) as reader:
        return sum(batch.num_rows for batch in reader)
""",
}
HARNESS = """
import json, os, re, sys, time
{code}
started = time.process_time()
rows = run(sys.argv[1])
spent = time.process_time() - started
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([rows, spent, peak]))
"""


def make(path: Path, megabytes: int) -> None:
    """Conversations of one to four turns, English and Chinese, some with a system message."""
    rng = random.Random(1)
    words = ["".join(rng.choices("etaoinshrdlucmfw", k=rng.randint(2, 9))) for _ in range(5000)]
    chinese = ["销售额", "用折线图表示", "华北地区", "你好", "请问", "今天", "模型", "训练"]

    def text(length: int) -> str:
        if rng.random() < 0.8:
            return " ".join(rng.choices(words, k=length))
        return "".join(rng.choices(chinese, k=length))

    with path.open("w", encoding="utf-8") as file:
        size = 0
        while size < megabytes * 1024**2:
            turns = []
            if rng.random() < 0.3:
                turns.append({"role": "system", "content": "You are a helpful assistant."})
            for _ in range(rng.randint(1, 4)):
                turns.append({"role": "user", "content": text(rng.randint(5, 60))})
                answer = text(rng.randint(20, 120)) + '\n"quoted"'
                turns.append({"role": "assistant", "content": answer})
            line = json.dumps({"messages": turns}, ensure_ascii=False) + "\n"
            file.write(line)
            size += len(line.encode())


def measure(code: str, path: Path) -> tuple[int, float, float]:
    """Rows, CPU seconds and peak memory (MB) of one contender in a process of its own."""
    paths = [str(ROOT / "platform"), str(ROOT / "tests")]
    environment = {
        "PYTHONPATH": os.pathsep.join(paths),
        "DJANGO_SETTINGS_MODULE": "embedded_settings",
    }
    done = subprocess.run(
        [sys.executable, "-c", HARNESS.format(code=code), str(path)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    rows, spent, peak = json.loads(done.stdout)
    return rows, spent, peak


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--megabytes", type=int, default=400)
    arguments.add_argument("--rounds", type=int, default=5)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        path = Path(folder) / "chat.jsonl"
        make(path, asked.megabytes)
        crlf = path.with_name(path.name + ".crlf")
        crlf.write_bytes(re.sub(rb"\n", b"\r\n", path.read_bytes()))
        size = path.stat().st_size
        spent: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        peaks: dict[str, float] = {}
        counts: set[int] = set()
        for _ in range(asked.rounds):
            for name, code in CONTENDERS.items():
                rows, seconds, peaks[name] = measure(code, path)
                spent[name].append(seconds)
                counts.add(rows)
        assert len(counts) == 1, "all must have seen the same rows"
        print(f"{size / 1e6:.0f} MB, {counts.pop()} rows, {asked.rounds} rounds; GB per CPU second")
        ours = statistics.median(spent[next(iter(CONTENDERS))])
        for name, seconds in spent.items():
            middle = statistics.median(seconds)
            speeds = [size / 1e9 / s for s in seconds]
            print(
                f"{size / 1e9 / middle:6.3f}  ({min(speeds):.3f}–{max(speeds):.3f})"
                f"  ours is {middle / ours:5.2f}×  peak {peaks[name]:5.0f} MB  {name}"
            )


if __name__ == "__main__":
    main()
