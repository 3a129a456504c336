"""A tenant that misbehaves, as a process: `python gateway_neighbour.py PORT KIND SECONDS`.

`flood` asks with 64 connections as fast as it is answered, which over a limit is as fast as it is
refused; `hang` asks an engine that never answers, on 256 connections, again whenever it is refused;
`unread` begins 100 streams and reads none of them.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

sys.path.append(str(Path(__file__).resolve().parents[1]))

from gateway_load import request
from gateway_world import NEIGHBOUR_SECRET

CONNECTIONS = {"flood": 64, "hang": 256, "unread": 100}


class Neighbour(asyncio.Protocol):
    """One connection of it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        asked = request(NEIGHBOUR_SECRET, stream=kind == "unread")
        # As long as what it stands for, which the engine looks at.
        self._asked = asked.replace(b"xxxxxx", b"<hang>", 1) if kind == "hang" else asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        if self._kind == "unread":
            self._transport.pause_reading()
        self._transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        # An answer comes in one piece here. One that is refused a place tries again soon.
        if self._kind == "hang":
            loop = asyncio.get_running_loop()
            loop.call_later(0.5, lambda: self._transport.write(self._asked))
        else:
            self._transport.write(self._asked)


async def main(port: int, kind: str, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS[kind]):
        await loop.create_connection(lambda: Neighbour(kind), "127.0.0.1", port)
    await asyncio.sleep(seconds)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
