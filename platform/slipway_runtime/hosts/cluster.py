"""The cluster host: one run in a Ray cluster of its own, by `python -m slipway_runtime run`.

The order comes in the environment variable SLIPWAY_WORKLOAD. A run of one process is carried out
right here, on the cluster's only node; a group is driven from here. What is printed is the log.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from slipway_contracts.workload import Workload, to_json, workload_from_json
from slipway_runtime import run
from slipway_runtime.hosts import workers


def main() -> int:
    """Carry out the workload that the environment orders; 0 when it ended well."""
    text = os.environ.get("SLIPWAY_WORKLOAD")
    if not text:
        print("SLIPWAY_WORKLOAD is not set; it holds the workload as JSON", file=sys.stderr)  # noqa: T201
        return 2
    workload = workload_from_json(text)
    signal.signal(signal.SIGTERM, _leave)
    reason = _group(workload) if workload.workers > 1 else _alone(workload)
    if reason:
        print(f"the run failed: {reason}", file=sys.stderr, flush=True)  # noqa: T201
    return 1 if reason else 0


def _alone(workload: Workload) -> str:
    failure = run.carry_out(workload)
    return failure.reason if failure else ""


def _group(workload: Workload) -> str:
    import ray

    # The cluster holds this run alone, so each worker may use what its pod has.
    ray.init(address="auto", log_to_driver=True)
    threads = max(1, int(os.environ.get("OMP_NUM_THREADS", "1")))
    return workers.GroupDriver().fit(to_json(workload), threads=threads)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Ends as by itself: what was stored counts, and the next attempt resumes from it."""
    raise SystemExit(128 + signal.SIGTERM)
