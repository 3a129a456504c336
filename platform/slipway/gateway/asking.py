"""What an engine is sent, and what its refusals mean to our client; ours and other people's."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from slipway.gateway import errors, plan
from slipway.gateway.admit import Ticket
from slipway.gateway.connection import Connection
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Route

#: Statuses of an engine that mean the same to our client; any other is the engine's fault.
_PASSED_ON = frozenset({400, 413, 422, 429, 500, 503, 504})
#: Those that say that the request is at fault, wherever it is asked.
_CLIENTS_FAULT = frozenset({400, 413, 422})
#: No header of a client goes on that could be more than it says.
_TRACE = re.compile(rb"[0-9a-zA-Z-]{1,128}")
_REQUEST = (
    b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nx-request-id: %b\r\n%b\r\n%b"
)


def request(ticket: Ticket, target: Route, request_id: bytes, trace: bytes = b"") -> bytes:
    """Head and body for a target; of the client's head nothing is in it but `trace`, its
    `traceparent` or ours, and that only for engines of our own."""
    body, origin = ticket.body, target.origin
    if origin is not None:
        body = plan.body_for(body, target)
        path = (origin.base_path + ticket.endpoint.removeprefix("/v1")).encode()
        line = b""
        if origin.authorization:
            line = b"authorization: %b\r\n" % origin.authorization.encode()
        return _REQUEST % (path, origin.netloc.encode(), len(body), request_id, line, body)
    if target.name != ticket.asked:
        body = plan.body_for(body, target)
    lines = b""
    if target.adapter:
        lines = b"x-adapter: %b\r\n" % target.adapter.encode()
    if ticket.key.background:
        lines += b"x-background: 1\r\n"
    if trace and _TRACE.fullmatch(trace):
        lines += b"traceparent: %b\r\n" % trace
    return _REQUEST % (ticket.endpoint.encode(), b"engine", len(body), request_id, lines, body)


def gives_way(status: int) -> bool:
    """Another model may do better: this one refused, and not for what was asked."""
    return status != 200 and status not in _CLIENTS_FAULT


def refusal(connection: Connection, body: bytes, served: Route) -> Refusal:
    """An answer that is none, in our shape."""
    status = connection.status if connection.status in _PASSED_ON else 502
    wait = connection.headers.get(b"retry-after", b"")
    after = int(wait[:4]) if wait.isdigit() else 1 if status in {429, 503} else None
    if served.origin is not None and status == 502:
        # Not in its words: what is wrong between it and us is not for every caller to read.
        return errors.bad_answer(_wrong_with(served, connection.status))
    try:
        error = msgspec.json.decode(body, type=dict[str, Any]).get("error")
    except (msgspec.DecodeError, RecursionError):
        error = None
    if not isinstance(error, dict):
        said = body[:200].decode(errors="replace")
        error = {"message": f"The model's engine answered {connection.status}: {said}"}
    return refusal_of(status, error, retry_after=after)


def _wrong_with(served: Route, status: int) -> str:
    what = {
        401: "refuses the credential we have for it",
        402: "says that nothing is left on our account",
        403: "refuses the credential we have for it",
        404: "does not know the model or the path",
    }.get(status, f"answered with status {status}")
    return f"The server behind `{served.name}` {what}; see `slipway externals check`."


def refusal_of(status: int, error: dict[str, Any], *, retry_after: int | None = None) -> Refusal:
    """An engine's error object with all four keys and of the types clients expect."""
    kind = error.get("type")
    if status == 500 and kind == "invalid_request_error":
        status = 400
    code, param = error.get("code"), error.get("param")
    default = "invalid_request_error" if status < 500 else "server_error"
    return Refusal(
        status,
        str(error.get("message") or "The model's engine failed without saying why.")[:2000],
        type=kind if isinstance(kind, str) else default,
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) else None,
        retry_after=retry_after,
    )
