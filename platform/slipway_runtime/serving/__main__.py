"""The engine's own process: `python -m slipway_runtime.serving`, started by a replica.

The first line of standard input is the order, a JSON object with `socket` and `workload`; the
rest of it is a lifeline: when it ends, the parent is gone or wants an end, and the engine drains
and leaves. Standard output carries one JSON object a line: `{"stage": …}` while it starts,
`{"ready": seconds}` once a token was generated, `{"error": …, "permanent": …}` when it cannot;
`permanent` means that another try would end alike.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pathlib
import signal
import sys
import time
from typing import Any

from slipway_contracts import workload as contract
from slipway_runtime import files
from slipway_runtime.serving import vllm


def main() -> int:
    """Load, warm up, serve until told to stop; returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    order = json.loads(sys.stdin.readline())
    work = contract.workload_from_json(json.dumps(order["workload"]))
    try:
        asyncio.run(run(work, pathlib.Path(order["socket"])))
    except Exception as error:
        logging.getLogger(__name__).exception("the engine cannot serve")
        text = str(error) if _is_permanent(error) else f"{type(error).__name__}: {error}"
        _tell(error=text, permanent=_is_permanent(error))
        return 1
    return 0


async def run(work: contract.Workload, path: pathlib.Path) -> None:
    """Serve one workload on a socket until standard input ends or SIGTERM comes."""
    began = time.monotonic()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def lifeline() -> None:
        if not os.read(sys.stdin.fileno(), 65536):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    loop.add_reader(sys.stdin.fileno(), lifeline)
    chosen = vllm.choose_engine(work)
    _tell(stage="fetching the model's files")
    base = files.local_dir(work.inputs["base"])
    if not (base / "config.json").is_file():
        raise ValueError(
            f"{work.inputs['base']}: no config.json; a model is a directory with config.json, "
            "safetensors weights and a tokenizer"
        )
    adapter = files.local_dir(work.inputs["adapter"]) if "adapter" in work.inputs else None
    beside = {
        role.removeprefix("adapter:"): files.local_dir(uri)
        for role, uri in work.inputs.items()
        if role.startswith("adapter:")
    }
    name = work.settings.get("served_name", work.name)
    grace_seconds = float(work.settings.get("grace_seconds", 30))

    def ready() -> None:
        _tell(ready=round(time.monotonic() - began, 2))

    if chosen == "vllm":
        _tell(stage="starting vLLM")
        line = vllm.command(work, path, base, beside | ({name: adapter} if adapter else {}))
        await vllm.run(line, path, model=name, ready=ready, stop=stop, grace_seconds=grace_seconds)
        return
    _tell(stage="starting the engine's libraries")
    from slipway_runtime.serving import embeddings, encoder, loading, server

    _tell(stage="loading the model")
    timeout = float(work.settings.get("request_timeout_seconds", 600))
    rules = encoder.rules_of(base)
    if rules is not None:
        if adapter is not None or beside:
            raise ValueError("an embedding model is served whole; adapters on it are not served")
        model = encoder.load(base, rules, work.settings)
        queue = int(work.settings.get("max_queue", 256))
        door = embeddings.App(model, name=name, request_timeout_seconds=timeout, max_queue=queue)
        await door.warm_up()
        await server.serve(door, path, stop, ready=ready, grace_seconds=grace_seconds)
        return
    served = loading.load(base, adapter, work.settings)
    for role, directory in beside.items():
        served.attach(role, directory)
    app = server.App(served, name=name, request_timeout_seconds=timeout)
    _tell(stage="generating the first token")
    served.engine.start()
    await app.warm_up()
    await server.serve(app, path, stop, ready=ready, grace_seconds=grace_seconds)


def _is_permanent(error: Exception) -> bool:
    """Whether the fault lies in the order: the model, the adapter or a setting."""
    if isinstance(error, OSError):
        # transformers reports an unreadable model directory as a bare OSError; one with an
        # errno comes from the machine (no space, too many files) and may pass.
        return error.errno is None or isinstance(error, FileNotFoundError)
    permanent: tuple[type[Exception], ...] = (ValueError, KeyError, files.Missing, files.Damaged)
    if "slipway_runtime.serving.forward" in sys.modules:
        from slipway_runtime.serving import forward, lora

        permanent += (forward.UnsupportedModel, lora.AdapterError)
    return isinstance(error, permanent)


def _tell(**fields: Any) -> None:
    sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    # Nothing is left to lose, and taking torch apart politely takes a second.
    os._exit(status)
