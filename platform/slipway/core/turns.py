"""Django's requests by turns: each has a connection of its own to the database, which has few."""

from __future__ import annotations

import asyncio
from typing import Any

#: Requests of one web process that may be at the database at once; PostgreSQL has 100 connections
#: unless it is told otherwise.
AT_ONCE = 40


class Turns:
    """An ASGI application that is asked by so many at once; who comes then waits.

    A turn begins when all of the request is here and ends with its answer, or where a stream
    begins: no client holds one by being slow.
    """

    def __init__(self, app: Any, at_once: int = AT_ONCE) -> None:
        self.app, self.places = app, asyncio.Semaphore(at_once)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        held = 0

        async def begin() -> dict[str, Any]:
            nonlocal held
            message: dict[str, Any] = await receive()
            if message["type"] == "http.request" and not message.get("more_body") and not held:
                await self.places.acquire()
                held = 1
            return message

        async def answer(message: dict[str, Any]) -> None:
            nonlocal held
            if message.get("more_body") and held == 1:
                held = 2
                self.places.release()
            await send(message)

        try:
            await self.app(scope, begin, answer)
        finally:
            if held == 1:
                self.places.release()
