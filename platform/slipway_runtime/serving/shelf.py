"""Adapters fetched when they are first asked for and dropped when others need their place."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from slipway_runtime import files
from slipway_runtime.serving import loading, lora
from slipway_runtime.serving.refusal import ApiError

log = logging.getLogger(__name__)


class Shelf:
    """The adapters of one engine by URI, least lately used first; for one event loop."""

    def __init__(self, served: loading.Served, *, most_bytes: int = 512 << 20) -> None:
        self._served = served
        self._most_bytes = most_bytes
        self._sizes: dict[str, int] = {}
        self._coming: dict[str, asyncio.Task[None]] = {}

    async def want(self, uri: str) -> None:
        """Return once rows may use the adapter; does not wait where it is there.

        Raises ApiError if it cannot be had.
        """
        if uri in self._sizes:
            self._sizes[uri] = self._sizes.pop(uri)
            return
        task = self._coming.get(uri)
        if task is None:
            task = self._coming[uri] = asyncio.create_task(self._fetch(uri))
        try:
            # Others may wait for it too: who leaves does not take it away.
            await asyncio.shield(task)
        except (lora.AdapterError, files.Missing, files.Damaged, OSError, ValueError) as error:
            raise ApiError(
                500,
                f"The adapter cannot answer beside its base: {error}. Deploy its version instead.",
                code="adapter_unusable",
            ) from error

    async def _fetch(self, uri: str) -> None:
        def read() -> dict[str, lora.Factors]:
            return lora.read(self._served.model, files.local_dir(uri))

        try:
            factors = await asyncio.to_thread(read)
            await self._between_steps(lambda: self._served.adapters.attach(uri, factors))
        finally:
            del self._coming[uri]
        self._sizes[uri] = sum(
            part.numel() * part.element_size() for pair in factors.values() for part in pair
        )
        log.info("adapter %s attached, %d bytes", uri, self._sizes[uri])
        await self._make_room(uri)

    async def _make_room(self, newest: str) -> None:
        for uri in list(self._sizes):
            if sum(self._sizes.values()) <= self._most_bytes or uri == newest:
                continue
            # First nobody new counts on it; who does already keeps it.
            size = self._sizes.pop(uri, 0)
            try:
                await self._between_steps(lambda uri=uri: self._served.detach(uri))
            except lora.AdapterError:
                self._sizes.setdefault(uri, size)

    async def _between_steps(self, call: Any) -> None:
        await self._served.engine.between_steps(call)
