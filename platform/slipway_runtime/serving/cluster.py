"""The Ray Serve application of one model in a cluster of its own; Serve's configuration names it.

Each copy answers on a port of its pod, where the gateway calls it directly: Serve starts and
heals copies, and no request passes through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import pathlib
from typing import Any

from slipway_contracts.workload import Kind, Workload
from slipway_runtime import places
from slipway_runtime.serving import app

#: The container's own output, so that an engine's messages are the pod's log.
_LOG = pathlib.Path("/proc/1/fd/1")
_BUFFER_BYTES = 65536


class Copy(app.Replica):
    """A replica whose engine also answers on a port; the pod's readiness probe asks there."""

    # Serve awaits it; Python itself would not.
    async def __init__(self, order: dict[str, Any], port: int, log_path: str) -> None:  # type: ignore[misc]
        await super().__init__(order, str(places.run_dir()), log_path)
        callers = functools.partial(pass_on, self._place.socket)
        self._door = await asyncio.start_server(callers, None, port)

    async def __del__(self) -> None:
        """No new callers; those inside are answered before the engine ends."""
        if hasattr(self, "_door"):
            self._door.close()
        await super().__del__()


async def pass_on(
    path: pathlib.Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Join a caller and the engine's socket; when one side ends, so does the other."""
    with contextlib.closing(writer):
        try:
            inner, outer = await asyncio.open_unix_connection(str(path))
        except OSError:
            return
        with contextlib.closing(outer):
            ways = {
                asyncio.ensure_future(_copy(reader, outer)),
                asyncio.ensure_future(_copy(inner, writer)),
            }
            _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in left:
                way.cancel()
            await asyncio.gather(*left, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_BUFFER_BYTES):
            target.write(data)
            # Waits for a slow reader, so no answer piles up here.
            await target.drain()


def application(args: dict[str, Any]) -> Any:
    """The application; `args` holds `workload`, as JSON has it, and `port`."""
    from ray import serve

    given = args["workload"]
    workload = Workload(**given | {"kind": Kind(given["kind"])})
    target: Any = serve.deployment(
        Copy,
        name="engine",
        max_ongoing_requests=1000,
        health_check_period_s=2,
        health_check_timeout_s=30,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=app.GRACE_SECONDS + 10,
        max_constructor_retry_count=3,
    )
    log_path = str(args.get("log", _LOG))
    return target.bind(dataclasses.asdict(workload), args["port"], log_path)
