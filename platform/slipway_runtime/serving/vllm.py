"""vLLM's own OpenAI server as the engine, behind the same socket, order and lifeline.

Not run by the tests, which have neither a GPU nor the package: that vLLM starts, answers and
drains. Run by the tests: the choice of the engine, the command line, and the process handling
around it, with a stand-in program. The options are those of vLLM 0.10 and later (`--uds`).
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import pathlib
import signal
import sys
from collections.abc import Callable, Sequence

from slipway_contracts.workload import Workload
from slipway_runtime.serving import sockets


class EngineUnavailable(ValueError):
    """The engine that was asked for cannot run here."""


def choose_engine(workload: Workload) -> str:
    """`transformers` or `vllm`: what was asked for, else vLLM where GPU and package are there."""
    wanted = workload.settings.get("engine", "auto")
    installed = importlib.util.find_spec("vllm") is not None
    if wanted == "auto":
        return "vllm" if workload.gpus and installed else "transformers"
    if wanted not in ("transformers", "vllm"):
        raise EngineUnavailable(f"engine is {wanted!r}; it must be auto, transformers or vllm")
    if wanted == "vllm" and not (workload.gpus and installed):
        lacking = "the vllm package" if workload.gpus else "a GPU (gpus is 0)"
        raise EngineUnavailable(f"engine vllm needs {lacking}; use auto or transformers")
    return wanted


def command(
    workload: Workload,
    path: pathlib.Path,
    base: pathlib.Path,
    adapters: dict[str, pathlib.Path],
) -> list[str]:
    """The command line that serves the workload on a socket; `adapters` by served name."""
    settings = workload.settings
    served = settings.get("served_name", workload.name)
    # An adapter deployed alone takes the deployment's name; the base beneath it needs another.
    base_name = f"{served}:base" if served in adapters else served
    line = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    line += ["--model", str(base), "--served-model-name", base_name, "--uds", str(path)]
    line += ["--tensor-parallel-size", str(max(1, workload.gpus))]
    if "max_context" in settings:
        line += ["--max-model-len", str(settings["max_context"])]
    if "max_rows" in settings:
        line += ["--max-num-seqs", str(settings["max_rows"])]
    if adapters:
        line += ["--enable-lora", "--lora-modules"]
        line += [f"{name}={directory}" for name, directory in sorted(adapters.items())]
    return line


async def run(
    line: Sequence[str],
    path: pathlib.Path,
    *,
    model: str,
    ready: Callable[[], None],
    stop: asyncio.Event,
    grace_seconds: float,
) -> None:
    """Keep the server running until `stop`; `ready` is called once it generated a token.

    Raises RuntimeError when it ends by itself.
    """
    process = await asyncio.create_subprocess_exec(*line, stdin=asyncio.subprocess.DEVNULL)
    ended = asyncio.create_task(process.wait())
    stopped = asyncio.create_task(stop.wait())
    warm = asyncio.create_task(_first_token(path, model))
    try:
        await asyncio.wait({ended, stopped, warm}, return_when=asyncio.FIRST_COMPLETED)
        if warm.done():
            path.chmod(0o600)  # noqa: ASYNC240 - one system call
            ready()
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise RuntimeError(f"vLLM ended with status {ended.result()}")
    finally:
        for task in (stopped, warm):
            task.cancel()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - one system call
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(ended, grace_seconds)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _first_token(path: pathlib.Path, model: str) -> None:
    body = {"model": model, "prompt": "a", "max_tokens": 1}
    while True:
        with contextlib.suppress(OSError):
            status, _ = await asyncio.to_thread(
                sockets.request, path, "POST", "/v1/completions", body, timeout_seconds=60
            )
            if status == 200:
                return
        await asyncio.sleep(0.2)
