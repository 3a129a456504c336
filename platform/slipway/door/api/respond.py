"""POST /v1/responses: a chat completion asked and told in the words of the responses API."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import DatabaseError, transaction

from slipway.door.api import manners, unattended
from slipway.door.api.inward import Caller, Exchange, Headers, Message, Reply, Turned, with_rows
from slipway.door.models import Conversation, Response
from slipway.door.services import (
    compaction,
    conversations,
    response_answers,
    response_asks,
    response_items,
    responses,
    words,
)
from slipway.door.services.response_asks import Ask, Compact, Count

logger = logging.getLogger(__name__)

CHAT = "/v1/chat/completions"
#: With truncation auto, the conversation is shortened at most so often: by 1, 2, 4, … messages.
_SHORTENED = 8


#: What an answer raises that is no completion, wherever in it the fault is.
_GARBAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_NO_COMPLETION = "The model's engine sent what is no chat completion."


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What is asked, and what stands before it."""

    project_id: UUID
    ask: Ask
    own: list[dict[str, Any]]
    earlier: list[dict[str, Any]]
    previous: Response | None = None
    conversation: Conversation | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        items = compaction.opened([*self.earlier, *self.own], project_id=self.project_id)
        return response_items.messages_of(self.ask.instructions, items)

    def keep(self, body: dict[str, Any]) -> None:
        """Store a response that has ended, and what it adds to its conversation."""
        with transaction.atomic():
            if self.ask.store is not False:
                self.begin(body)
            self.converse(body)

    def begin(self, body: dict[str, Any]) -> Response:
        return responses.keep(
            project_id=self.project_id,
            body=body,
            input_items=self.own,
            previous=self.previous,
            now=datetime.now(UTC),
        )

    def converse(self, body: dict[str, Any]) -> None:
        if self.conversation is not None:
            conversations.add(self.conversation, [*self.own, *body["output"]])


async def create(exchange: Exchange, caller: Caller, data: bytes) -> None:
    """Answer, whole or as a stream of events; kept afterwards unless `store` is false."""
    turn = await _turn(caller, manners.read(data, Ask))
    key = words.public_id(response_answers.PREFIX, uuid4())
    opening = response_answers.opening(turn.ask, response_id=key, created_at=int(time.time()))
    if turn.ask.background:
        await unattended.begin(exchange, turn, opening)
        return
    answer = Answer(exchange, turn.ask, opening, turn.keep)
    await answer.converse(turn.messages)


async def count(exchange: Exchange, caller: Caller, data: bytes) -> None:
    """How many tokens a response would read: told by the model, asked for one token."""
    turn = await _turn(caller, manners.read(data, Count).ask())
    reply = await exchange.ask(CHAT, response_asks.chat_body(turn.ask, turn.messages))
    if reply.status != 200:
        raise Turned(reply.status, reply.headers or [], _renamed(reply))
    tokens = json.loads(reply.body)["usage"]["prompt_tokens"]
    body = {"object": "response.input_tokens", "input_tokens": tokens}
    await exchange.answer(200, body, like=reply.headers)


async def compact(exchange: Exchange, caller: Caller, data: bytes) -> None:
    """What the users said, and the model's own summary of it all, to go on with from there."""
    turn = await _turn(caller, manners.read(data, Compact).ask(compaction.QUESTION))
    reply = await exchange.ask(CHAT, response_asks.chat_body(turn.ask, turn.messages))
    if reply.status != 200:
        raise Turned(reply.status, reply.headers or [], _renamed(reply))
    said = json.loads(reply.body)
    summary = said["choices"][0]["message"].get("content") or ""
    items = [*turn.earlier, *turn.own[:-1]]
    output = [
        *(each for each in items if each["type"] == "message" and each["role"] == "user"),
        compaction.item(summary, project_id=turn.project_id),
    ]
    body = {
        "id": response_items.new_id(response_answers.PREFIX),
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": output,
        "usage": response_answers.usage_of(said.get("usage") or {}),
    }
    await exchange.answer(200, body, like=reply.headers)


async def _turn(caller: Caller, ask: Ask) -> Turn:
    response_asks.check(ask)
    own = response_items.items_of(ask.input)
    previous: Response | None = None
    conversation: Conversation | None = None
    earlier: list[dict[str, Any]] = []
    if (given := ask.previous_response_id) is not None:
        previous, earlier = await with_rows(
            lambda: responses.before(project_id=caller.project_id, response_id=given)
        )
    elif (named := response_asks.conversation_of(ask)) is not None:
        conversation, earlier = await with_rows(
            lambda: conversations.before(project_id=caller.project_id, conversation_id=named)
        )
    return Turn(
        project_id=caller.project_id,
        ask=ask,
        own=own,
        earlier=earlier,
        previous=previous,
        conversation=conversation,
    )


class Answer:
    """One response: what the gateway sends becomes what the client gets.

    `keep` stores the whole response before its end is told.
    """

    def __init__(
        self,
        exchange: Exchange,
        ask: Ask,
        opening: dict[str, Any],
        keep: Callable[[dict[str, Any]], None],
    ) -> None:
        self._exchange, self._ask, self._keep = exchange, ask, keep
        self.done = False
        self.writer = response_answers.Writer(opening, logprobs=response_asks.wants_logprobs(ask))
        self._refusal = Reply()
        self._tail = b""
        self._usage: dict[str, Any] | None = None

    async def converse(self, messages: list[dict[str, Any]]) -> None:
        """Ask until it is answered, with fewer messages if need and wish be; Turned if refused."""
        fixed = 1 if self._ask.instructions else 0
        for turn in range(_SHORTENED + 1):
            reply = await self.attempt(response_asks.chat_body(self._ask, messages))
            if self.done:
                return
            room = len(messages) - fixed - 1
            if self._ask.truncation != "auto" or _code(reply) != "context_length_exceeded":
                break
            if room < 1:
                break
            if turn < _SHORTENED:
                del messages[fixed : fixed + min(2**turn, room)]
                # The result of a call that is no longer there means nothing.
                while len(messages) > fixed + 1 and messages[fixed]["role"] == "tool":
                    del messages[fixed]
        raise Turned(reply.status, reply.headers or [], _renamed(reply))

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
        try:
            completion = json.loads(reply.body)
            choice = completion["choices"][0]
            for _ in self.writer.delta(choice, choice["message"]):
                pass
            usage = completion.get("usage")
        except _GARBAGE as error:
            body = manners.error_body(_NO_COMPLETION, status=502, code="bad_gateway")
            raise Turned(502, reply.headers or [], json.dumps(body).encode()) from error
        await self._end(usage)
        self.done = True
        await self._exchange.answer(200, self.writer.response, like=reply.headers)

    async def _end(self, usage: dict[str, Any] | None) -> bytes:
        """Close the last item, and keep the response before its end is told."""
        events = b"".join(self.writer.ended(completed_at=int(time.time()), usage=usage))
        try:
            await with_rows(lambda: self._keep(self.writer.response))
        except DatabaseError as error:
            # It was generated and paid for: better told and not kept than lost.
            logger.error("a response was not kept: %s", error)  # noqa: TRY400 - the cause is in the message
            self.writer.response["store"] = False
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
        await self._exchange.write(b"".join(self.writer.opened()))

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
            return events + self.writer.final()
        try:
            chunk = json.loads(data)
            if "error" in chunk:
                self.done = True
                return self.writer.failed(chunk["error"])
            self._usage = chunk.get("usage") or self._usage
            return b"".join(
                event
                for choice in chunk["choices"]
                for event in self.writer.delta(choice, choice["delta"])
            )
        except _GARBAGE:
            self.done = True
            return self.writer.failed({"message": _NO_COMPLETION})


def _code(reply: Reply) -> str | None:
    code = reply.error.get("code") if reply.status == 400 else None
    return code if isinstance(code, str) else None


def _renamed(reply: Reply) -> bytes:
    """The refusal, naming the parameter as it is called here."""
    error = reply.error
    error["param"] = response_asks.place_of(error.get("param"))
    return json.dumps({"error": error}, ensure_ascii=False).encode()
