"""Responses in the background: made on while the client is away, told to whoever comes back."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from django.db import DatabaseError, transaction

from slipway.door.api.inward import ClientGone, Exchange, Headers, Turned, with_rows
from slipway.door.models import Response
from slipway.door.services import background

if TYPE_CHECKING:
    from slipway.door.api.respond import Turn

logger = logging.getLogger(__name__)

#: Events are written so often, and a sign of life so often if there are none.
_WRITE_SECONDS, _BEAT_SECONDS = 0.25, 1.0
_QUIET_SECONDS = 15.0
_TRIES = 10
#: What a refusal is called in a response that has failed.
_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}
#: The loop itself keeps only weak references.
_tasks: set[asyncio.Task[None]] = set()


async def begin(exchange: Exchange, turn: Turn, opening: dict[str, Any]) -> None:
    """Answer at once, or tell the events as they come; the work goes on either way."""
    row = await with_rows(lambda: turn.begin(opening))
    run = _Run(exchange, row)
    task = asyncio.create_task(run.work(turn, opening))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    if not turn.ask.stream:
        await exchange.answer(200, opening)
        return
    quiet = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
    head = exchange.headers(None, b"text/event-stream; charset=utf-8")
    await exchange.start(200, [*head, *quiet])
    await run.tell(exchange)


class _Run(Exchange):
    """Stands where a client would: what it is sent becomes events that are kept."""

    def __init__(self, exchange: Exchange, row: Response) -> None:
        super().__init__(exchange._gateway, exchange.scope, exchange._receive, exchange._send)
        self.row = row
        self._events: list[str] = []
        self._kept = 0
        self._ended = asyncio.Event()
        self._more = asyncio.Event()

    async def start(self, status: int, headers: Headers) -> None:
        """Nobody to tell."""

    def headers(self, like: Headers | None, content_type: bytes = b"") -> Headers:
        return []

    async def write(self, data: bytes, *, last: bool = False) -> None:
        found = [f"{event}\n\n" for event in data.decode().split("\n\n")[:-1]]
        # Comments keep a connection alive; there is none.
        self._events += [event for event in found if not event.startswith(":")]
        self._more.set()

    async def work(self, turn: Turn, opening: dict[str, Any]) -> None:
        """Make the response and keep it to its end, whatever that is."""
        from slipway.door.api import respond

        ask = msgspec.structs.replace(turn.ask, stream=True)
        answer = respond.Answer(self, ask, opening, lambda _body: None)
        tending = asyncio.create_task(self._tend())
        try:
            await answer.converse(turn.messages)
        except ClientGone:
            pass
        except Turned as refused:
            error = json.loads(refused.body)["error"]
            await self._failed(answer.writer, error, _CODES.get(refused.status, "server_error"))
        except Exception:
            logger.exception("a response in the background broke off")
            error = {"message": "Something broke on our side; it was logged."}
            await self._failed(answer.writer, error, "server_error")
        finally:
            self._ended.set()
            self._more.set()
            await tending
        if not self.gone.is_set():
            await self._keep(turn, answer.writer.response)

    async def _failed(self, writer: Any, error: dict[str, Any], code: str) -> None:
        begun = b"" if self._events else b"".join(writer.opened())
        await self.write(begun + writer.failed(error, code=code))

    async def _tend(self) -> None:
        """Write down what was told, say that we live, and hear whether it is cancelled."""
        beaten = time.monotonic()
        while not self._ended.is_set():
            fresh = self._events[self._kept :]
            if fresh or time.monotonic() - beaten > _BEAT_SECONDS:
                beaten = time.monotonic()
                try:
                    on = await with_rows(functools.partial(self._beat, fresh))
                except DatabaseError as error:
                    logger.warning("events of a response wait for the database: %s", error)
                else:
                    self._kept += len(fresh)
                    if not on:
                        self.gone.set()
                        return
            try:
                async with asyncio.timeout(_WRITE_SECONDS):
                    await self._ended.wait()
            except TimeoutError:
                pass

    def _beat(self, fresh: list[str]) -> bool:
        return background.beat(self.row, first=self._kept, events=fresh, now=datetime.now(UTC))

    async def _keep(self, turn: Turn, body: dict[str, Any]) -> None:
        def keep() -> None:
            with transaction.atomic():
                events = self._events[self._kept :]
                if background.end(self.row, body=body, first=self._kept, events=events):
                    turn.converse(body)

        for turns in range(_TRIES):
            try:
                await with_rows(keep)
                return
            except DatabaseError as error:
                logger.warning("a response waits for the database: %s", error)
                await asyncio.sleep(min(2**turns * 0.25, 10))
        logger.error("response %s was not kept", self.row.pk)

    async def tell(self, exchange: Exchange) -> None:
        """Every event to a client, as long as it is there."""
        told = 0
        while not exchange.gone.is_set():
            self._more.clear()
            fresh, ended = self._events[told:], self._ended.is_set()
            told += len(fresh)
            if fresh or ended:
                await exchange.write("".join(fresh).encode(), last=ended)
            if ended:
                return
            try:
                async with asyncio.timeout(_QUIET_SECONDS):
                    await self._more.wait()
            except TimeoutError:
                await exchange.write(b": waiting\n\n")


async def events(key: UUID, *, after: int) -> AsyncIterator[bytes]:
    """What was and will be told of a response, from any process; ends with it."""

    def step(after: int) -> tuple[bool, list[tuple[int, str]]]:
        row = Response.objects.filter(pk=key).first()
        if row is None:
            return True, []
        # Read in this order: of one that has ended, every event is there.
        ended = background.looked_at(row, now=datetime.now(UTC)).beaten_at is None
        return ended, list(background.told(row, after=after))

    spoken = time.monotonic()
    while True:
        ended, found = await with_rows(functools.partial(step, after))
        for number, event in found:
            after, spoken = number, time.monotonic()
            yield event.encode()
        if ended:
            return
        if time.monotonic() - spoken > _QUIET_SECONDS:
            spoken = time.monotonic()
            yield b": waiting\n\n"
        await asyncio.sleep(_WRITE_SECONDS)
