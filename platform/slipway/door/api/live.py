"""What is answered by asking the gateway, not by rows alone: responses, moderations."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from django.db import DatabaseError

from slipway.door.api import inward, moderate, respond
from slipway.door.api.inward import Application, Caller, Exchange
from slipway.door.api.manners import error_body
from slipway.door.services import asked

_ROUTES: dict[str, Callable[[Exchange, Caller, bytes], Awaitable[None]]] = {
    "/v1/responses": respond.create,
    "/v1/responses/compact": respond.compact,
    "/v1/responses/input_tokens": respond.count,
    "/v1/moderations": moderate.create,
}
PATHS = frozenset(_ROUTES)
#: What a repetition would be paid for again.
_ONCE = {"/v1/responses", "/v1/responses/compact"}


class Live:
    """The ASGI application of these paths.

    `gateway` answers completions; `caller` gives who an Authorization header and a client's
    address are, or raises inward.Turned.
    """

    def __init__(
        self, gateway: Application, caller: Callable[[bytes | None, str], Awaitable[Caller]]
    ) -> None:
        self._gateway, self._caller = gateway, caller

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        exchange = Exchange(self._gateway, scope, receive, send)
        try:
            if exchange.method != "POST":
                text = f"{exchange.method} is not allowed on {exchange.path}; use POST."
                body = error_body(text, code="method_not_allowed")
                await exchange.answer(405, body, more=[(b"allow", b"POST")])
                return
            # Nobody may make us hold a body without a key.
            address = str((scope.get("client") or ("",))[0])
            caller = await self._caller(exchange.authorization, address)
            data = await exchange.body()
            if exchange.path in _ONCE and await self._told_before(exchange, caller, data):
                return
            await _ROUTES[exchange.path](exchange, caller, data)
        except inward.ClientGone:
            return
        except Exception as error:
            if exchange.started:
                raise
            await exchange.refuse(error)
        finally:
            exchange.close()
            if exchange.claim is not None:
                with contextlib.suppress(DatabaseError):
                    await inward.with_rows(exchange.claim.given_up)

    async def _told_before(self, exchange: Exchange, caller: Caller, data: bytes) -> bool:
        """Whether this is a repetition, and was answered as one. A stream is always a first one."""
        try:
            given = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError):
            given = None
        if not isinstance(given, dict):
            with contextlib.suppress(DatabaseError):
                await inward.with_rows(
                    lambda: asked.check_unused(
                        project_id=caller.project_id, path=exchange.path,
                        key=exchange.idempotency_key,
                    )
                )  # fmt: skip
            return False
        if given.get("stream"):
            return False
        try:
            found = await inward.with_rows(
                lambda: asked.claim(
                    project_id=caller.project_id, path=exchange.path, given=given,
                    key=exchange.idempotency_key, retried=exchange.retried,
                )
            )  # fmt: skip
        except (DatabaseError, RecursionError):
            # Rather answered twice than not at all.
            return False
        if isinstance(found, asked.Claim):
            exchange.claim = found
            return False
        await exchange.answer(*found)
        return True
