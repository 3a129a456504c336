"""POST /v1/responses: a chat completion asked and told in the words of the responses API."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.db import DatabaseError

from slipway.door.api import manners
from slipway.door.api.inward import Caller, Exchange, Headers, Message, Reply, Turned, with_rows
from slipway.door.models import Response
from slipway.door.services import response_answers, response_asks, responses, words
from slipway.door.services.response_asks import Ask

logger = logging.getLogger(__name__)

CHAT = "/v1/chat/completions"
#: With truncation auto, the conversation is shortened at most so often: by 1, 2, 4, … messages.
_SHORTENED = 8


async def create(exchange: Exchange, caller: Caller, data: bytes) -> None:
    """Answer, whole or as a stream of events; kept afterwards unless `store` is false."""
    ask = manners.read(data, Ask)
    response_asks.check(ask)
    own = response_asks.items_of(ask.input)
    previous: Response | None = None
    earlier: list[dict[str, Any]] = []
    if (given := ask.previous_response_id) is not None:
        previous, earlier = await with_rows(
            lambda: responses.before(project_id=caller.project_id, response_id=given)
        )
    answer = _Answer(exchange, caller, ask, own, previous)
    messages = response_asks.messages_of(ask.instructions, [*earlier, *own])
    fixed = 1 if ask.instructions else 0
    for turn in range(_SHORTENED + 1):
        reply = await answer.attempt(response_asks.chat_body(ask, messages))
        if answer.done:
            return
        room = len(messages) - fixed - 1
        if ask.truncation != "auto" or _code(reply) != "context_length_exceeded" or room < 1:
            break
        if turn < _SHORTENED:
            del messages[fixed : fixed + min(2**turn, room)]
            # The result of a call that is no longer there means nothing.
            while len(messages) > fixed + 1 and messages[fixed]["role"] == "tool":
                del messages[fixed]
    raise Turned(reply.status, reply.headers or [], _renamed(reply))


class _Answer:
    """One response: what the gateway sends becomes what the client gets."""

    def __init__(
        self,
        exchange: Exchange,
        caller: Caller,
        ask: Ask,
        own: list[dict[str, Any]],
        previous: Response | None,
    ) -> None:
        self._exchange, self._caller, self._ask = exchange, caller, ask
        self._own, self._previous = own, previous
        self.done = False
        key = words.public_id(response_answers.PREFIX, uuid4())
        opening = response_answers.opening(ask, response_id=key, created_at=int(time.time()))
        self._writer = response_answers.Writer(opening, logprobs=response_asks.wants_logprobs(ask))
        self._refusal = Reply()
        self._tail = b""
        self._usage: dict[str, Any] | None = None

    async def attempt(self, body: dict[str, Any]) -> Reply:
        """Ask once; `done` if the client was answered, else the gateway's refusal."""
        self._refusal = Reply()
        if self._ask.stream:
            await self._exchange.ask(CHAT, body, send=self._streamed)
            return self._refusal
        reply = await self._exchange.ask(CHAT, body)
        if reply.status == 200:
            await self._whole(reply)
        return reply

    async def _whole(self, reply: Reply) -> None:
        completion = json.loads(reply.body)
        choice = completion["choices"][0]
        for _ in self._writer.delta(choice, choice["message"]):
            pass
        await self._end(completion.get("usage"))
        self.done = True
        await self._exchange.answer(200, self._writer.response, like=reply.headers)

    async def _end(self, usage: dict[str, Any] | None) -> bytes:
        """Close the last item, and keep the response before its end is told."""
        events = b"".join(self._writer.ended(completed_at=int(time.time()), usage=usage))
        if self._ask.store is not False:
            now = datetime.now(UTC)
            try:
                await with_rows(
                    lambda: responses.keep(
                        project_id=self._caller.project_id,
                        body=self._writer.response,
                        input_items=self._own,
                        previous=self._previous,
                        now=now,
                    )
                )
            except DatabaseError as error:
                # It was generated and paid for: better told and not kept than lost.
                logger.error("a response was not kept: %s", error)  # noqa: TRY400 - the cause is in the message
                self._writer.response["store"] = False
        return events

    # Streams

    async def _streamed(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._opened(message["status"], list(message["headers"]))
        elif self._refusal.status:
            self._refusal.body += message.get("body", b"")
        else:
            await self._fed(message.get("body", b""))

    async def _opened(self, status: int, headers: Headers) -> None:
        if status != 200:
            self._refusal.status, self._refusal.headers = status, headers
            return
        told = self._exchange.headers(headers, b"text/event-stream; charset=utf-8")
        quiet = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        await self._exchange.start(200, [*told, *quiet])
        await self._exchange.write(b"".join(self._writer.opened()))

    async def _fed(self, data: bytes) -> None:
        *events, self._tail = (self._tail + data).split(b"\n\n")
        told = []
        for event in events:
            if self.done:
                break
            if event.startswith(b":"):
                told.append(event + b"\n\n")
            elif event.startswith(b"data:"):
                told.append(await self._one(event[5:].strip()))
        if told:
            await self._exchange.write(b"".join(told), last=self.done)

    async def _one(self, data: bytes) -> bytes:
        if data == b"[DONE]":
            events = await self._end(self._usage)
            self.done = True
            return events + self._writer.final()
        chunk = json.loads(data)
        if "error" in chunk:
            self.done = True
            return self._writer.failed(chunk["error"])
        self._usage = chunk.get("usage") or self._usage
        return b"".join(
            event
            for choice in chunk["choices"]
            for event in self._writer.delta(choice, choice["delta"])
        )


def _code(reply: Reply) -> str | None:
    code = reply.error.get("code") if reply.status == 400 else None
    return code if isinstance(code, str) else None


def _renamed(reply: Reply) -> bytes:
    """The refusal, naming the parameter as it is called here."""
    error = reply.error
    error["param"] = response_asks.place_of(error.get("param"))
    return json.dumps({"error": error}, ensure_ascii=False).encode()
