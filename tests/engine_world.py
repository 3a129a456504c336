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

from slipway_runtime.serving import embeddings, encoder, loading, server


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
        self.app: Any = server.App(
            self.served,
            name="tiny",
            request_timeout_seconds=settings.get("request_timeout_seconds", 60),
        )
        self._thread_to_be()

    def _thread_to_be(self) -> None:
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
        await self._begin()
        await server.serve(self.app, self.path, self._stop, ready=self._ready.set, grace_seconds=5)

    async def _begin(self) -> None:
        self.served.engine.start()
        await self.app.warm_up()

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


class RunningEncoder(Running):
    """The same around a sentence encoder from a folder."""

    def __init__(self, folder: pathlib.Path, model: pathlib.Path, **settings: Any) -> None:
        self.path = folder / "encoder.sock"
        rules = encoder.rules_of(model)
        assert rules is not None
        self.encoder = encoder.load(model, rules, {})
        self.app = embeddings.App(self.encoder, name="tiny", **settings)
        self._thread_to_be()

    async def _begin(self) -> None:
        await self.app.warm_up()
