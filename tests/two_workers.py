"""Trains with two processes as Ray Train would start them: straight, then killed and resumed.

Prints one line of JSON. Run by test_recipes in a process of its own, because it forks.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import tiny
import torch

from slipway_contracts import workload
from slipway_runtime import progress
from slipway_runtime.hosts.context import RunContext
from slipway_runtime.training import sft, weights

WORKERS = 2


def worker(rank: int, root: Path, base: str, rows: str, attempt: int) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(WORKERS),
        "LOCAL_WORLD_SIZE": str(WORKERS),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1",  # the group is there already; nobody listens here
    }
    meeting = root / f"group-{attempt}"
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=WORKERS
    )
    asked = workload.Workload(
        name=f"train-two-{attempt}",
        kind=workload.Kind.TRAIN,
        inputs={
            "base": f"file://{base}",
            "dataset": f"file://{rows}",
            "held_out": f"file://{rows}",
        },
        settings={
            "method": "sft",
            "scale": "lora",
            "hyperparameters": {"epochs": 3, "batch_size": 8, "lora_rank": 4, "lora_dropout": 0.1},
            "seed": 7,
            "threads": tiny.THREADS,
        },
        output_uri=f"file://{root}/out",
        attempt=attempt,
        workers=WORKERS,
    )
    scratch = root / f"scratch-{attempt}-{rank}"
    scratch.mkdir()
    original = weights.are_finite

    def fingerprint(model: torch.nn.Module) -> bool:
        digest = hashlib.sha256()
        for parameter in model.parameters():
            digest.update(parameter.detach().numpy().tobytes())
        (root / f"weights-{attempt}-{rank}").write_text(digest.hexdigest())
        return original(model)

    weights.are_finite = fingerprint
    writer = progress.Writer(asked.output_uri, attempt) if rank == 0 else None
    sft.run(RunContext(asked, scratch=scratch, writer=writer, rank=rank, world_size=WORKERS))
    if writer:
        writer.close()
    torch.distributed.destroy_process_group()


def start(*arguments: object) -> list[int]:
    """Fork the workers; returns their process ids."""
    pids = []
    for rank in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            # What the workers say goes to the error stream; the result alone to the output.
            os.dup2(2, 1)
            code = 1
            try:
                worker(rank, *arguments)
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            sys.stderr.flush()
            os._exit(code)
        pids.append(pid)
    return pids


def end(pids: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def main(directory: str, base: str, rows: str) -> None:
    torch.set_num_threads(1)
    straight, killed = Path(directory, "straight"), Path(directory, "killed")
    for root in (straight, killed):
        root.mkdir()
    assert end(start(straight, base, rows, 1)) == [0, 0]

    pids = start(killed, base, rows, 1)
    found: list[Path] = []
    until = time.monotonic() + 120
    while not found and time.monotonic() < until:
        time.sleep(0.01)
        found = list(killed.glob("out/checkpoints/*/manifest.json"))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    codes = end(pids)
    assert codes == [-9, -9], codes
    assert not (killed / "out/report-1.json").exists()
    assert end(start(killed, base, rows, 2)) == [0, 0]

    reports = [
        workload.report_from_json((root / f"out/{workload.report_name(attempt)}").read_bytes())
        for root, attempt in ((straight, 1), (killed, 2))
    ]
    told = {
        "killed_at": len(found),
        "straight": reports[0].files,
        "resumed": reports[1].files,
        "steps": reports[0].metrics["steps"],
        "trained": [
            p.read_text() for p in (*straight.glob("weights-*"), *killed.glob("weights-*"))
        ],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
