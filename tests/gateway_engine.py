"""`python gateway_engine.py PATH`: an engine on a Unix socket, as a process that can be killed.

A request whose `user` is `for ever` gets a stream without end, one that says `hang` no answer at
all; all others get five tokens.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from gateway_world import Engine, Exchange, answer_well


async def script(exchange: Exchange) -> None:
    match exchange.asked.get("user"):
        case "for ever":
            await exchange.begin()
            while True:
                await exchange.token("x")
                await asyncio.sleep(0.02)
        case "hang":
            await asyncio.Event().wait()
        case _:
            await answer_well(exchange)


if __name__ == "__main__":
    given = Path(sys.argv[1])
    Engine(given.parent, given.stem).script = script
    threading.Event().wait()
