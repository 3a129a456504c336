"""Refusals in the OpenAI shape: all four keys always there, whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

#: What a request's headers, or its URL, may come to.
HEADER_BYTES, HEADER_COUNT = 32 * 1024, 100


@dataclass(frozen=True)
class Refusal:
    """An answer that is no completion. `again` says that fresher facts might change it."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    #: Seconds after which it is worth asking again.
    retry_after: int | None = None
    allow: str | None = None
    #: `x-ratelimit-…` lines of the answer's head, where a limit was asked.
    rates: bytes = b""
    again: bool = field(default=False, compare=False)
    #: More might be leased of what there is too little of.
    lease: bool = field(default=False, compare=False)

    def body(self) -> bytes:
        return msgspec.json.encode({"error": self.as_dict()})

    def lines(self) -> bytes:
        """Lines of the head that this refusal needs; its length is the server's business."""
        lines = b"content-type: application/json\r\n" + self.rates
        if self.retry_after is not None:
            lines += b"retry-after: %d\r\n" % self.retry_after
        elif self.status == 503 or self.code == "insufficient_quota":
            lines += b"x-should-retry: false\r\n"
        if self.allow is not None:
            lines += b"allow: %b\r\n" % self.allow.encode()
        if self.status == 401:
            lines += b'www-authenticate: Bearer realm="slipway"\r\n'
        return lines

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The same in pairs."""
        return pairs(self.lines())

    def event(self) -> bytes:
        """The same as a server-sent event, for a stream that has begun."""
        return b"data: " + self.body() + b"\n\n"

    def as_dict(self) -> dict[str, Any]:
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }


def pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    """The lines of a head as ASGI wants them."""
    split = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name, value) for name, _, value in split]


def unknown_url(method: str, path: str) -> Refusal:
    return Refusal(
        404,
        f"Unknown request URL: {method} {path[:200]}. GET /v1/openapi.json lists what is served, "
        "docs/openai.md what is not.",
        code="unknown_url",
    )


def not_allowed(method: str, path: str, allow: str) -> Refusal:
    return Refusal(
        405,
        f"{method} is not allowed on {path[:200]}; use {allow}.",
        code="method_not_allowed",
        allow=allow,
    )


def too_large(limit_bytes: int) -> Refusal:
    return Refusal(
        413,
        f"The body is larger than {limit_bytes} bytes; send fewer or shorter messages.",
        code="request_too_large",
    )


def model_not_found(name: str) -> Refusal:
    return Refusal(
        404,
        f"The model `{name[:200]}` does not exist or you do not have access to it. "
        "GET /v1/models lists the ones you may call.",
        param="model",
        code="model_not_found",
        again=True,
    )


def unavailable(
    message: str,
    *,
    retry_after: int | None = None,
    code: str = "model_unavailable",
    again: bool = False,
) -> Refusal:
    """503; without `retry_after` asking again is no use, and clients are told so."""
    return Refusal(
        503, message, type="server_error", code=code, retry_after=retry_after, again=again
    )


def bad_answer(message: str) -> Refusal:
    return Refusal(502, message, type="server_error", code="bad_upstream_answer")


def unauthorized(message: str, *, again: bool = False) -> Refusal:
    return Refusal(401, message, code="invalid_api_key", again=again)


def revoked() -> Refusal:
    return unauthorized("This API key was revoked, or may no longer call models: the answer ends.")


def timed_out(message: str) -> Refusal:
    return Refusal(504, message, type="server_error", code="timeout")


def internal() -> Refusal:
    return Refusal(
        500,
        "Something broke on our side; it was logged under the request id.",
        type="server_error",
        code="internal",
    )


class Unreadable(Exception):
    """What came is not a request that can be taken."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


#: Headers that say where a message ends.
FRAMING = frozenset({b"content-length", b"transfer-encoding"})


def framing_in_trailers() -> Refusal:
    return Refusal(400, "A trailer may not say where the message ends.", code="bad_request")


def misframed(error: Exception) -> Refusal:
    return Refusal(400, f"This is not a well-formed HTTP/1.1 request: {error}.", code="bad_request")


def too_many_waiting(most: int) -> Refusal:
    return Refusal(
        429,
        f"More than {most} requests wait on this connection; open another.",
        code="too_many_pipelined",
        retry_after=1,
    )


def long_head(headers: Any) -> Refusal | None:
    """A refusal, if these are more headers than are read."""
    size = sum(len(name) + len(value) for name, value in headers)
    if size <= HEADER_BYTES and len(headers) <= HEADER_COUNT:
        return None
    return Refusal(
        431,
        f"The headers come to {size} bytes in {len(headers)} lines; at most {HEADER_BYTES} "
        f"bytes in {HEADER_COUNT} lines are read.",
        code="headers_too_large",
    )


def encoded(headers: Mapping[bytes, bytes]) -> Refusal | None:
    """A refusal, if the body is compressed: what it would come to cannot be bounded before."""
    encoding = headers.get(b"content-encoding", b"identity").strip()
    if encoding.lower() in {b"identity", b""}:
        return None
    return Refusal(
        415,
        f"A body with Content-Encoding {encoding.decode('latin-1')[:50]!r} is not read; send it "
        "as it is, without this header.",
        param="Content-Encoding",
        code="unsupported_content_encoding",
    )


def long_url(size: int) -> Refusal:
    return Refusal(
        414,
        f"The URL has {size} bytes; at most {HEADER_BYTES} are read. Send what is long in a body.",
        code="url_too_long",
    )


def endless_head(most_bytes: int) -> Refusal:
    return Refusal(
        431,
        f"The headers have no end; at most {most_bytes} bytes are read.",
        code="headers_too_large",
    )


def too_slow(part: str, seconds: float) -> Refusal:
    return Refusal(408, f"The {part} did not arrive within {seconds:g} s.", code=f"{part}_timeout")
