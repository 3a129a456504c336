"""What all ways into the gateway share: its parts, what is running, and the look once a second."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from slipway.gateway import errors
from slipway.gateway.admit import Gate, Limits
from slipway.gateway.completion import Asked, Client, Completion, Parts
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Snapshot
from slipway.gateway.snapshot import Snapshots
from slipway.gateway.spool import Spool
from slipway.gateway.upstream import Timeouts, Upstreams


class Watched(Protocol):
    """Something that has timeouts of its own."""

    def look(self, now: float) -> None: ...


class Core:
    """Begins completions and keeps their time.

    What it is not given it takes from the settings: `load` reads keys and routes (in a thread),
    `digest` turns a secret into what keys are stored under, `spool` is a directory.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Snapshot] | None = None,
        digest: Callable[[str], str] | None = None,
        spool: Path | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
    ) -> None:
        if load is None or digest is None or spool is None:
            from django.conf import settings

            from slipway.gateway import snapshot
            from slipway.tenancy import services as tenancy

            load = load or snapshot.load
            digest = digest or tenancy.digest_of
            spool = spool or settings.USAGE_SPOOL
        self.gate = Gate(digest=digest, limits=limits)
        self.snapshots = Snapshots(load)
        self.spool = Spool(spool)
        self.timeouts = timeouts or Timeouts()
        #: Connections of clients that are watched for being too slow.
        self.watched: set[Watched] = set()
        self._running: dict[Completion, float] = {}
        # Unique for ever, and cheap: a random start per process, then a counter.
        self._prefix = f"req_{secrets.token_hex(10)}"
        self._count = itertools.count()
        self._parts: Parts | None = None

    async def start(self) -> None:
        """Raises OSError if the spool cannot be made."""
        self.spool.start()
        self.snapshots.start()
        upstreams = Upstreams(self.timeouts)
        self._parts = Parts(
            gate=self.gate, snapshots=self.snapshots, upstreams=upstreams, spool=self.spool
        )
        self._watch = asyncio.get_running_loop().call_later(self.timeouts.tick, self._tick)
        await self.snapshots.refresh()

    async def stop(self) -> None:
        if self._parts is not None:
            self._watch.cancel()
            await self._parts.upstreams.close()
            await asyncio.to_thread(self.snapshots.stop)
            await asyncio.to_thread(self.spool.stop)

    def request_id(self) -> str:
        return f"{self._prefix}{next(self._count):08x}"

    def known(self, authorization: bytes | None, address: str) -> Key | Refusal:
        """The key as far as the present picture has it; a refusal may be `again`."""
        return self.gate.authorize(authorization, self.snapshots.current, time.time(), address)

    async def authorize(self, authorization: bytes | None, address: str) -> Key | Refusal:
        key = self.known(authorization, address)
        if isinstance(key, Refusal) and key.again:
            # It may have been made a moment ago.
            await self.snapshots.refresh()
            key = self.known(authorization, address)
        return key

    def complete(self, client: Client, asked: Asked) -> Completion:
        """A completion, to be started by who asks for it."""
        if self._parts is None:
            raise RuntimeError("the server must send lifespan events: uvicorn --lifespan on")
        completion = Completion(self._parts, client, asked, self._over)
        self._running[completion] = time.monotonic() + self.timeouts.total
        return completion

    def _over(self, completion: Completion) -> None:
        self._running.pop(completion, None)

    def _tick(self) -> None:
        now = time.monotonic()
        late = errors.timed_out(f"The answer took longer than {self.timeouts.total:g} s.")
        for completion, deadline in list(self._running.items()):
            if now > deadline:
                completion.stop(late)
            else:
                completion.beat(self.timeouts.heartbeat)
        for watched in list(self.watched):
            watched.look(now)
        self._watch = asyncio.get_running_loop().call_later(self.timeouts.tick, self._tick)
