"""POST /v1/responses and /v1/moderations: answered by asking the gateway, not by rows alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from slipway.door.api import inward, moderate, respond
from slipway.door.api.inward import Application, Caller, Exchange
from slipway.door.api.manners import error_body

_ROUTES: dict[str, Callable[[Exchange, Caller, bytes], Awaitable[None]]] = {
    "/v1/responses": respond.create,
    "/v1/moderations": moderate.create,
}
PATHS = frozenset(_ROUTES)


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
            await _ROUTES[exchange.path](exchange, caller, await exchange.body())
        except inward.ClientGone:
            return
        except Exception as error:
            if exchange.started:
                raise
            await exchange.refuse(error)
        finally:
            exchange.close()
