"""How long an engine is waited for, and what is too long."""

from __future__ import annotations

import math
from dataclasses import dataclass

from slipway.gateway.connection import Connection

#: The patience with an engine of our own: that of the pool.
NEVER = math.inf


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds."""

    connect: float = 5.0
    #: From the request to the first byte of the answer's body.
    first_byte: float = 300.0
    #: Between two reads after that.
    idle: float = 60.0
    #: From the request's arrival to its end, whatever happens.
    total: float = 600.0
    #: A request waits this long for a replica to come back.
    hold: float = 20.0
    #: And this long for one that sleeps, or is woken.
    wake: float = 300.0
    #: A stream that is silent for so long says that it lives.
    heartbeat: float = 15.0
    #: An unused connection is closed after this.
    keep: float = 60.0
    #: How often all of these are looked at.
    tick: float = 1.0


def late(connection: Connection, timeouts: Timeouts, now: float) -> str:
    """Why an exchange has taken too long at `now`, in the loop's seconds; empty if it has not."""
    if connection.complete or connection.failure:
        return ""
    if connection.stirred:
        connection.stirred, connection.heard_at = False, now
    if now > connection.last_by:
        return "the stream was left open after [DONE]"
    if not connection.heard:
        most = min(timeouts.first_byte, connection.patience)
        if now - connection.started_at > most:
            return f"no answer within {most:g} s"
    # While we do not read, silence is our own doing.
    elif not connection.paused:
        most = min(timeouts.idle, connection.patience)
        if now - connection.heard_at > most:
            return f"the answer stopped for {most:g} s"
    return ""
