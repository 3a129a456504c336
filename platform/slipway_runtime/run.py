"""Carries out one run: finds the recipe for the workload's kind, and says why it failed."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import traceback
from collections.abc import Callable

from slipway_contracts.workload import Failure, Kind, Workload, failure_name, to_json
from slipway_runtime import files, places, progress
from slipway_runtime.hosts.context import Context, RunContext

#: The recipe for each kind of run, of training for each method: `module:function`, called with
#: the context.
RECIPES: dict[str, str] = {
    "train sft": "slipway_runtime.training.sft:run",
    "train dpo": "slipway_runtime.training.dpo:run",
    "train grpo": "slipway_runtime.training.grpo:run",
    Kind.EVALUATE: "slipway_runtime.evaluate:run",
}


class BadInput(Exception):
    """A fault in the request; trying again would fail again. The text is for the user."""


class Diverged(Exception):
    """The loss is no number any more."""


def _close(writer: progress.Writer | None) -> None:
    if writer:
        try:
            writer.close()
        except Exception:  # noqa: BLE001 - printed; nothing more can be done with it
            traceback.print_exc()


def recipe(name: str) -> Callable[[Context], None]:
    """The function of this name in RECIPES; SLIPWAY_RECIPES (JSON) may name others, by kind too."""
    others = json.loads(os.environ.get("SLIPWAY_RECIPES", "{}"))
    found = others.get(name) or others.get(name.split(maxsplit=1)[0]) or RECIPES.get(name)
    if found is None:
        raise BadInput(f"there is no recipe for {name!r}; there is {', '.join(RECIPES)}")
    module, _, function = found.partition(":")
    return getattr(importlib.import_module(module), function)


def _name(workload: Workload) -> str:
    if workload.kind is not Kind.TRAIN:
        return workload.kind
    return f"{workload.kind} {workload.settings.get('method', 'sft')}"


def execute(context: Context) -> None:
    """Run the workload's recipe to its end; raises what it raises."""
    recipe(_name(context.workload))(context)


def carry_out(
    workload: Workload, *, rank: int = 0, world_size: int = 1, started_again: bool = False
) -> Failure | None:
    """Execute a workload in this process; the failure, or None if it is done.

    The failure is also left where the control plane looks for it, unless the host is going to
    start the run again by itself (`started_again`) and that makes sense.
    """
    scratch = places.scratch_dir(workload.name) / str(rank)
    writer: progress.Writer | None = None
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        with files.room(str(scratch)):
            scratch.mkdir(parents=True)
        if rank == 0:
            writer = progress.Writer(workload.output_uri, workload.attempt)
        context = RunContext(
            workload, scratch=scratch, writer=writer, rank=rank, world_size=world_size
        )
        execute(context)
        if rank == 0 and not context.finished:
            raise RuntimeError("the recipe ended without a result")  # noqa: TRY301
    except BaseException as error:  # noqa: BLE001 - every end of a run is told
        traceback.print_exc()
        _close(writer)
        found = failure(error, attempt=workload.attempt)
        if not (started_again and found.retryable):
            _leave(found, workload)
        return found
    else:
        # The result is stored; a note that is not cannot take that back.
        _close(writer)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return None


def failure(error: BaseException, *, attempt: int) -> Failure:
    """Say in the user's words why a run failed, and whether another try makes sense."""
    reason, retryable = _judge(error)
    text = "".join(traceback.format_exception(error))
    return Failure(reason=reason, retryable=retryable, attempt=attempt, traceback=text[-20_000:])


def _leave(found: Failure, workload: Workload) -> None:
    uri = files.join(workload.output_uri, failure_name(workload.attempt))
    try:
        files.put(uri, to_json(found).encode())
    except (files.StorageFull, OSError) as second:
        # Without the file the control plane sees a run that died, and tries again: right.
        print(f"failure not stored: {second}", flush=True)  # noqa: T201 - the run's log


def _judge(error: BaseException) -> tuple[str, bool]:
    text = str(error) or type(error).__name__
    if isinstance(error, BadInput | progress.GivenUp):
        return text, False
    if isinstance(error, Diverged | FloatingPointError):
        return f"training diverged: {text}; try a lower learning rate", False
    if isinstance(error, files.Damaged | files.Missing):
        return f"an input cannot be read: {text}", False
    if isinstance(error, files.StorageFull) or _errno(error) in {errno.ENOSPC, errno.EDQUOT}:
        return f"disk full: {text}", True
    if _out_of_memory(error):
        return f"out of memory: {text}; a smaller batch or shorter sequences need less", True
    if isinstance(error, OSError | ConnectionError | TimeoutError):
        return f"the machine or the store did not answer: {text}", True
    if any(word in text for word in ("gloo", "NCCL", "Connection closed by peer")):
        return f"a worker of the group was lost: {text}", True
    return f"{type(error).__name__}: {text}", False


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _out_of_memory(error: BaseException) -> bool:
    # torch's own class is not imported for this: on CPU it raises a bare RuntimeError anyway.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
        or _errno(error) == errno.ENOMEM
    )
