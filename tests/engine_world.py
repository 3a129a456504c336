"""A real engine server in a thread, and clients for it."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import threading
from typing import Any, Self

import engine_models
import httpx
import openai
import torch

from slipway_runtime.serving import loading, server


class Running:
    """A server in a thread of its own, and clients for it."""

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        model: Any = None,
        tokenizer: Any = None,
        **settings: Any,
    ) -> None:
        torch.set_num_threads(1)
        self.path = folder / "engine.sock"
        self.served = loading.Served(
            model or engine_models.model(),
            tokenizer or engine_models.tokenizer(),
            {"max_rows": 4} | settings,
        )
        self.app = server.App(
            self.served,
            name="tiny",
            request_timeout_seconds=settings.get("request_timeout_seconds", 60),
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.served.engine.start()
        await self.app.warm_up()
        await server.serve(self.app, self.path, self._stop, ready=self._ready.set, grace_seconds=5)

    def http(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.path))
        return httpx.Client(transport=transport, base_url="http://engine", timeout=60)

    def complete(self, **fields: Any) -> httpx.Response:
        with self.http() as http:
            return http.post("/v1/completions", json={"model": "tiny", "prompt": "bar"} | fields)

    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(
            base_url="http://engine/v1", api_key="none", http_client=self.http(), max_retries=0
        )
