"""What the gateway costs, against nginx and other gateways, in one run.

    python tests/bench/gateway.py [--parts cost,delay,scale,tenants] [--seconds 3] [--rounds 5]
        [--litellm ENV/bin/litellm] [--portkey DIR/node_modules]

All have the same engine of fixed answers and the same clients, each one process pinned to core 0,
while engine and clients share core 1; rounds alternate. nginx (`proxy_pass`, no features) and the
gateway (limits, budgets, usage records, all on) reach the engine by its Unix socket, the others,
which cannot, by TCP. CPU is user and system time of the measured processes by what they finished;
a single answer that is not a good 200 ends the run. Read the ratios: other work on the machine
moves the microseconds.

nginx: `apt-get install nginx`, or see the message without it. The others each in an environment to
throw away: `python -m venv ENV && ENV/bin/pip install 'litellm[proxy]'`, and
`npm install @portkey-ai/gateway`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop
from gateway_load import CHUNKS, Client, load, request, serve
from gateway_subjects import Subject, free_port, gateway, litellm, nginx, portkey, versions

KEY = "sk-slip-one"
Measured = dict[str, float]


def measure(
    subject: Subject,
    *,
    clients: int,
    seconds: float,
    stream: bool,
    per_second: float = 0,
    model: str = "m",
) -> Measured:
    """CPU µs by request or chunk, milliseconds, and how many a second."""

    async def connect(make: Callable[[], Client]) -> None:
        await asyncio.get_running_loop().create_connection(make, "127.0.0.1", subject.port)

    asked = request(KEY, stream=stream, extra=subject.extra, model=model)
    before = subject.cpu_seconds()
    times, firsts = uvloop.run(
        load(connect, asked, clients=clients, seconds=seconds, per_second=per_second)
    )
    spent = subject.cpu_seconds() - before
    units = len(times) * (CHUNKS + 1 if stream else 1)
    return {
        "us": spent / units * 1e6,
        "p50": times[len(times) // 2] * 1000,
        "p99": times[int(len(times) * 0.99)] * 1000,
        "first50": firsts[len(firsts) // 2] * 1000,
        "first99": firsts[int(len(firsts) * 0.99)] * 1000,
        "per_second": units / seconds,
    }


def alternate(
    subjects: list[Subject], rounds: int, how: Callable[[Subject], Measured]
) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {subject.name: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            found[subject.name].append(how(subject))
    return found


def table(title: str, found: dict[str, list[Measured]]) -> None:
    print(f"\n{title}; median of {len(next(iter(found.values())))} rounds (lowest–highest)")
    floor = found["nginx"]
    for name, runs in found.items():
        us = [run["us"] for run in runs]
        ratios = [run["us"] / nginx_run["us"] for run, nginx_run in zip(runs, floor, strict=True)]
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(
            f"  {name:12} {middle['us']:8.1f} us CPU ({min(us):.1f}–{max(us):.1f})"
            f"   {statistics.median(ratios):7.2f}x nginx ({min(ratios):.2f}–{max(ratios):.2f})"
            f"   p50 {middle['p50']:8.2f}   p99 {middle['p99']:8.2f} ms"
            f"   {middle['per_second']:8.0f}/s",
            flush=True,
        )


def cost(subjects: list[Subject], given: argparse.Namespace) -> None:
    """CPU by request and by chunk."""
    fast = [subject for subject in subjects if subject.name in {"nginx", "the gateway"}]
    for stream, clients in ((False, 32), (False, 4), (True, 60)):
        kind = "chunk" if stream else "request"
        table(
            f"{clients} at once, per {kind}",
            alternate(
                fast,
                given.rounds,
                lambda one, c=clients, s=stream: measure(  # type: ignore[misc]
                    one, clients=c, seconds=given.seconds, stream=s
                ),
            ),
        )
    for stream, clients in ((False, 8), (True, 10)) if len(subjects) > len(fast) else ():
        found = {}
        for subject in subjects:
            try:
                # The first round warms up what compiles while it runs.
                for _ in range(2):
                    run = measure(subject, clients=clients, seconds=given.seconds, stream=stream)
            except SystemExit as error:
                print(f"  {subject.name}: {error}")
            else:
                found[subject.name] = [run]
        table(f"all: {clients} at once, per {'chunk' if stream else 'request'}", found)
    print("\nmemory after that, PSS, and seconds until it listened")
    for subject in subjects:
        print(f"  {subject.name:12} {subject.memory_mb():6.0f} MB   {subject.started_in:5.1f} s")


def delay(subjects: list[Subject], direct: Subject, given: argparse.Namespace) -> None:
    """What is added to the engine's own time."""
    ours = subjects[1]
    most = measure(ours, clients=32, seconds=given.seconds, stream=False)["per_second"]
    half = most / 2
    print(f"\nat half load, {half:.0f} requests a second: p50, p99 ms")
    _added(
        alternate(
            [direct, *subjects[:2]],
            given.rounds,
            lambda one: measure(
                one, clients=16, seconds=given.seconds, stream=False, per_second=half
            ),
        ),
        ("p50", "p99"),
    )
    print("\n100 streams at once, time to the first byte: p50, p99 ms")
    _added(
        alternate(
            [direct, *subjects[:2]],
            given.rounds,
            lambda one: measure(
                one, clients=100, seconds=given.seconds, stream=True, per_second=100
            ),
        ),
        ("first50", "first99"),
    )


def _added(found: dict[str, list[Measured]], keys: tuple[str, str]) -> None:
    base = {key: statistics.median(run[key] for run in found["no gateway"]) for key in keys}
    for name, runs in found.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in keys}
        told = "   ".join(f"{middle[k]:7.2f} (+{middle[k] - base[k]:.2f})" for k in keys)
        print(f"  {name:12} {told}", flush=True)


def scale(folder: Path, path: str, given: argparse.Namespace) -> None:
    """Several workers, and many keys and models."""
    print("\nworker processes, on whatever cores there are: requests a second, CPU us")
    for workers in (1, 2, 4):
        subject = gateway(folder, path, core=None, workers=workers)
        try:
            subject.settle()
            run = measure(subject, clients=64, seconds=given.seconds, stream=False)
        finally:
            subject.end()
        print(f"  {workers}   {run['per_second']:8.0f}/s   {run['us']:6.1f} us", flush=True)
    print("\nkeys and models it knows: CPU us a request, memory, seconds until it listened")
    few = gateway(folder, path, core=0)
    many = gateway(folder, path, core=0, keys=100_000, models=10_000)
    few.name, many.name = "1, 1", "100000, 10000"
    try:
        found = alternate(
            [few, many],
            given.rounds,
            lambda one: measure(one, clients=32, seconds=given.seconds, stream=False),
        )
        for subject in (few, many):
            us = statistics.median(run["us"] for run in found[subject.name])
            print(
                f"  {subject.name:14} {us:6.1f} us   {subject.memory_mb():5.0f} MB"
                f"   {subject.started_in:4.1f} s"
            )
    finally:
        few.end()
        many.end()


def begin_engine(name: str, path: str, port: int, delay: float = 0.0) -> Subject:
    command = [sys.executable, __file__, "--serve", path, str(port), str(delay)]
    return Subject(name, subprocess.Popen(command), port)


def tenants(folder: Path, theirs: str, given: argparse.Namespace) -> None:
    """What one tenant feels of another that floods, hangs or does not read.

    Its engine takes 50 ms an answer. What the other's clients and engine cost on the core that
    they share with those who measure is kept small by running them at the lowest priority.
    """
    ours = f"{folder}/ours.sock"
    engine = begin_engine("ours", ours, free_port(), delay=0.05)
    neighbour = {"NEIGHBOUR": f"unix:{theirs}"}
    subject = gateway(folder, ours, core=0, **neighbour)
    limited = gateway(folder, ours, core=0, NEIGHBOURS_LIMIT="600", **neighbour)
    found: dict[str, list[Measured]] = {}
    cases = (("alone", subject, ""), ("flood", subject, "flood"),
             ("flood over its limit", limited, "flood"), ("hung engine", subject, "hang"),
             ("streams not read", subject, "unread"))  # fmt: skip
    try:
        for _ in range(given.rounds):
            for name, at, kind in cases:
                found.setdefault(name, []).append(beside(at, kind, given.seconds))
    finally:
        for one in (subject, limited, engine):
            one.end()
    print("\na tenant's 100 requests a second, while another …: p50, p99 ms, p99 against alone")
    alone = statistics.median(run["p99"] for run in found["alone"])
    for name, runs in found.items():
        p50, p99 = (statistics.median(run[key] for run in runs) for key in ("p50", "p99"))
        print(f"  {name:22} {p50:7.1f} {p99:7.1f}   {p99 / alone:.2f}x", flush=True)


def beside(subject: Subject, kind: str, seconds: float) -> Measured:
    """A tenant's requests while a neighbour of this kind, if any, is at work."""
    file = str(Path(__file__).with_name("gateway_neighbour.py"))
    command = ["nice", "-n", "19", sys.executable, file, str(subject.port), kind, "600"]
    other = subprocess.Popen(command) if kind else None
    try:
        time.sleep(2 if kind else 0)
        return measure(subject, clients=16, seconds=seconds, stream=False, per_second=100)
    finally:
        if other is not None:
            other.kill()
            other.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default="cost,delay,scale,tenants")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litellm")
    parser.add_argument("--portkey")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        uvloop.run(serve(given.serve[0], int(given.serve[1]), float(given.serve[2])))
        return
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as name:
        folder, upstream = Path(name), free_port()
        path = f"{folder}/engine.sock"
        engine = begin_engine("no gateway", path, upstream)
        subjects: list[Subject] = []
        try:
            subjects += [nginx(folder, path, core=0), gateway(folder, path, core=0)]
            if given.litellm:
                subjects.append(litellm(folder, given.litellm, upstream, core=0))
            if given.portkey:
                subjects.append(portkey(folder, given.portkey, upstream, core=0))
            print(versions(given.litellm, given.portkey))
            for part in given.parts.split(","):
                if part == "cost":
                    cost(subjects, given)
                elif part == "delay":
                    delay(subjects, engine, given)
                elif part == "scale":
                    os.sched_setaffinity(0, {0, 1})
                    scale(folder, path, given)
                elif part == "tenants":
                    os.sched_setaffinity(0, {1})
                    tenants(folder, path, given)
        finally:
            for subject in (*subjects, engine):
                subject.end()


if __name__ == "__main__":
    main()
