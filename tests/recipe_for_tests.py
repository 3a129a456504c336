"""A recipe that needs no model: does what its settings say, through the same context."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from slipway_runtime.hosts.context import Context
from slipway_runtime.run import BadInput, Diverged


def run(context: Context) -> None:
    settings = context.workload.settings
    context.stage("begun")
    checkpoint = context.latest_checkpoint()
    first = checkpoint.step + 1 if checkpoint else 1
    for step in range(first, settings.get("steps", 0) + 1):
        time.sleep(settings.get("seconds_per_step", 0))
        context.metrics(
            step=step, total_steps=settings["steps"], epoch=0.0, values={"loss": 1 / step}
        )
        (context.scratch / "state").mkdir(exist_ok=True)
        (context.scratch / "state" / "weights").write_text(f"after step {step}")
        context.save_checkpoint(context.scratch / "state", step=step, values={"loss": 1 / step})
    match settings.get("end", "well"):
        case "well":
            result = context.scratch / "result"
            result.mkdir()
            (result / "answer.txt").write_text(f"from step {first}")
            context.finish(result, metrics={"loss": 0.5}, details={"first_step": first})
        case "bad input":
            raise BadInput("row 7 has no answer; add one")
        case "diverged":
            raise Diverged("the loss is nan at step 3")
        case "memory":
            raise MemoryError("cannot allocate 12 GiB")
        case "signal":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "nothing":
            return
        case "sleep":
            (Path(settings["mark"])).write_text(str(os.getpid()))
            time.sleep(600)
