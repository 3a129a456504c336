"""HTTP framing put to the test without sockets: our two parsers beside h11's, byte for byte.

    python tests/gateway_framing.py [--seed 1] [--seconds 60]

mutates well-formed requests and answers for so long, and shows every one in which a side took for
a message what the other did not, or took it for another.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from typing import Any

import h11
import uvicorn
from uvicorn.server import ServerState

from slipway.gateway import errors
from slipway.gateway.admit import Gate
from slipway.gateway.connection import WHOLE_READ_BYTES, Connection
from slipway.gateway.errors import Refusal
from slipway.gateway.server import HotProtocol

#: Method or status, target or nothing, body.
Message = tuple[bytes, bytes, bytes]
#: What h11 refuses and llhttp takes, and no two servers read differently.
HARMLESS = (
    *("Missing mandatory Host", "illegal request line", "no request line received"),
    *("illegal status line", "no response line received"),
)


class Transport:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = self.paused = False

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None: ...
    def set_write_buffer_limits(self, **_: int) -> None: ...

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _: str) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


class NoCore:
    """A gateway that knows nobody."""

    watched: set[Any] = set()
    gate = Gate(digest=str)

    def known(self, *_: Any) -> Refusal:
        return errors.internal()

    def request_id(self) -> str:
        return "req_x"


async def _app(scope: Any, receive: Any, send: Any) -> None: ...


CONFIG = uvicorn.Config(_app, interface="asgi3", ws="none", log_config=None)
CONFIG.load()


class Requests(HotProtocol):
    """Keeps what the parser makes of the bytes, and answers none of it."""

    core = NoCore()  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(CONFIG, ServerState(), {}, _loop=object())  # type: ignore[arg-type]
        self.found: list[Message] = []
        self.refused: Refusal | None = None
        self.connection_made(Transport())  # type: ignore[arg-type]

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._hot()
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.found.append((self.parser.get_method(), self.url, self._body))

    def _refuse(self, refusal: Refusal) -> None:
        self._deaf, self.refused = True, refusal


def our_requests(pieces: list[bytes]) -> tuple[list[Message], str]:
    """The messages, and why it went no further."""
    protocol = Requests()
    for piece in pieces:
        protocol.data_received(piece)
    return protocol.found, protocol.refused.message if protocol.refused else ""


def their_requests(data: bytes) -> tuple[list[Message], str]:
    link = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    link.receive_data(data)
    found: list[Message] = []
    try:
        while True:
            event = link.next_event()
            if isinstance(event, h11.Request):
                method, target, body = event.method, event.target, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found.append((bytes(method), bytes(target), body))
                link.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                link.send(h11.EndOfMessage())
                if link.our_state is not h11.DONE or link.their_state is not h11.DONE:
                    return found, "closed"
                link.start_next_cycle()
            else:
                return found, "" if event is h11.NEED_DATA else str(event)
    except h11.RemoteProtocolError as error:
        return found, str(error)


def our_answer(pieces: list[bytes]) -> tuple[Message | None, str]:
    """One answer as the pool's connection reads it."""
    inbox = memoryview(bytearray(WHOLE_READ_BYTES))
    connection = Connection(inbox, lambda: 0.0)
    connection.connection_made(Transport())
    connection.start(b"", request_id=b"", whole=True, wake=lambda: None)
    for piece in pieces:
        inbox[: len(piece)] = piece
        connection.buffer_updated(len(piece))
        if connection.failure:
            break
    if not connection.complete:
        return None, str(connection.failure or "")
    return (b"%d" % connection.status, b"", connection.take()), ""


def their_answer(data: bytes) -> tuple[Message | None, str]:
    link = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    link.send(h11.Request(method="POST", target="/", headers=[("host", "x")]))
    link.send(h11.EndOfMessage())
    link.receive_data(data)
    status, body = b"", b""
    try:
        while True:
            event = link.next_event()
            if isinstance(event, h11.Response):
                status = b"%d" % event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return (status, b"", body), ""
            elif not isinstance(event, h11.InformationalResponse):
                return None, "" if event is h11.NEED_DATA else str(event)
    except h11.RemoteProtocolError as error:
        return None, str(error)


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
REQUESTS = (
    HEAD + b"Content-Length: 11\r\n\r\nhello world",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 2\r\n\r\n{}" + HEAD + b"Content-Length: 3\r\n\r\n[1]",
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD + b"Content-Length: 1\r\n\r\nx",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: t\r\n\r\n",
)
ANSWERS = (
    ANSWER + b"Content-Length: 11\r\n\r\nhello world",
    ANSWER + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    ANSWER + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: t\r\n\r\n",
)
#: Bytes that mean something to a parser.
SPICE = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"0", b"1", b"\x7f", b"\xff"),
    *(b"Content-Length: 5\r\n", b"Content-Length: +5\r\n", b"content-length:5, 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: y\r\n"),
    *(b"transfer-encoding: gzip, chunked\r\n", b"Transfer-Encoding:\tchunked\r\n", b"0\r\n\r\n"),
    *(
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"HTTP/1.1",
    ),
    *(b"Upgrade: websocket\r\nConnection: upgrade\r\n", b" folded\r\n", b"x" * 40, b"-1", b"0x5"),
    *(
        b"ffffffffffffffff",
        b"00000000000000000005",
        b"5\r\n",
        b"\r\n\r\n",
        b"Expect: 100-continue\r\n",
    ),
)


def mutated(seed: bytes, dice: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        at = dice.randrange(len(data) + 1)
        # Most of what matters is where lines begin.
        if dice.random() < 0.5:
            at = data.find(b"\n", at) + 1
        match dice.randrange(4):
            case 0:
                data[at:at] = dice.choice(SPICE)
            case 1:
                del data[at : at + dice.choice((1, 1, 2, 5, 20))]
            case 2:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 3:
                piece = data[at : at + dice.randrange(1, 30)]
                data[at:at] = piece
    return bytes(data)


def cut(data: bytes, dice: random.Random) -> list[bytes]:
    """The same bytes in pieces, as a network may bring them."""
    if dice.random() < 0.5 or len(data) < 2:
        return [data]
    places = sorted(dice.randrange(len(data)) for _ in range(dice.choice((1, 3, 10))))
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


def disagreement(dice: random.Random) -> str:
    """One mutated message put to both; what they disagree about, or nothing."""
    if dice.random() < 0.6:
        data = mutated(dice.choice(REQUESTS), dice)
        ours, our_end = our_requests(cut(data, dice))
        theirs, their_end = their_requests(data)
    else:
        data = mutated(dice.choice(ANSWERS), dice)
        one, our_end = our_answer(cut(data, dice))
        other, their_end = their_answer(data)
        ours, theirs = [one] if one else [], [other] if other else []
    for mine, its in zip(ours, theirs, strict=False):
        if mine != its:
            return f"{data!r}\n  read as {mine!r}\n  h11     {its!r}"
    # To take less is safe; to take more is not, unless nobody could read it in another way.
    if len(ours) > len(theirs) and not any(why in their_end for why in HARMLESS):
        return f"{data!r}\n  read as {ours!r} ({our_end})\n  h11     {theirs!r} ({their_end})"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    dice, count, bad = random.Random(given.seed), 0, 0
    end = time.monotonic() + given.seconds
    while time.monotonic() < end:
        count += 1
        if told := disagreement(dice):
            bad += 1
            print(told)
    print(f"{count} messages, {bad} disagreements")
    raise SystemExit(bad > 0)


if __name__ == "__main__":
    main()
