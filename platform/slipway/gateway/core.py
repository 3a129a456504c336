"""What all ways into the gateway share: its parts, what is running, and the look once a second."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from slipway.gateway import errors, snapshot
from slipway.gateway.admit import Gate, Limits
from slipway.gateway.answering import Client, Parts
from slipway.gateway.completion import Completion
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Snapshot
from slipway.gateway.heads import Asked
from slipway.gateway.leases import Exchange
from slipway.gateway.money import Pay
from slipway.gateway.patience import Timeouts
from slipway.gateway.snapshot import Snapshots
from slipway.gateway.spans import Spans, begin, configured
from slipway.gateway.spool import Spool
from slipway.gateway.underway import Underway
from slipway.gateway.upstream import Upstreams
from slipway.gateway.watch import Watch

logger = logging.getLogger(__name__)

#: A deployment is not told to wake more often than this, in seconds.
_WAKE_PAUSE = 2.0


class Watched(Protocol):
    """Something that has timeouts of its own."""

    def look(self, now: float) -> None: ...


class Core:
    """Begins completions and keeps their time.

    By `exchange` it shares limits with other gateways, by `pay` budgets; given `load` but not
    those, it is alone.
    What it is not given it takes from the settings: `load` reads keys and routes (in a thread),
    `digest` turns a secret into what keys are stored under, `spool` is a directory, `wake` tells
    the platform (in a thread) that a deployment which sleeps is asked for, `tls` is how servers
    that are not ours are verified.
    """

    def __init__(
        self,
        *,
        load: Callable[[], Snapshot] | None = None,
        exchange: Exchange | None = None,
        pay: Pay | None = None,
        digest: Callable[[str], str] | None = None,
        spool: Path | None = None,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        wake: Callable[[str], None] | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
        spans: Spans | None = None,
    ) -> None:
        if load is None and exchange is None:
            exchange, pay = snapshot.exchange, snapshot.pay
        if load is None or digest is None or spool is None:
            from django.conf import settings

            from slipway.deployments import services as deployments
            from slipway.gateway.loader import Loader
            from slipway.tenancy import services as tenancy
            from slipway.traffic import services as traffic

            load, spans = load or Loader(), spans or configured()
            wake, tls = wake or deployments.wake_up, tls or traffic.tls
            digest = digest or tenancy.digest_of
            spool = spool or settings.USAGE_SPOOL
        self.gate = Gate(digest=digest, limits=limits, shared=exchange is not None)
        self._exchange, self._pay = exchange, pay
        self.snapshots = Snapshots(load)
        self.spool = Spool(spool)
        self._underway = Underway(spool)
        self.watch = Watch()
        self._rouse, self._tls, self._spans = wake, tls, spans
        self._woken: dict[str, float] = {}
        # Beside the usage, for the door to take in; a second more or less means nothing there.
        self.kept = Spool(spool.with_name(f"{spool.name}-completions"), sync_seconds=1.0)
        self.timeouts = timeouts or Timeouts()
        #: Connections of clients that are watched for being too slow.
        self.watched: set[Watched] = set()
        self._running: set[Completion] = set()
        #: The keys by which those that run were last looked at.
        self._held_to: dict[str, Key] = {}
        # Unique for ever, and cheap: a random start per process, then a counter.
        self._prefix = f"req_{secrets.token_hex(10)}"
        self._count = itertools.count()
        self._parts: Parts | None = None

    async def start(self) -> None:
        """Raises OSError if the spool cannot be made."""
        self.spool.start()
        self._underway.start(self.spool.write)
        if self._exchange is not None:
            self.gate.share(self._exchange)
        if self._pay is not None:
            self.gate.share_money(self._pay, self.spool.place)
        self.kept.start()
        self.snapshots.start()
        upstreams = Upstreams(self.timeouts, self._tls, self.watch)
        self._parts = Parts(
            gate=self.gate, snapshots=self.snapshots, upstreams=upstreams, spool=self.spool,
            underway=self._underway,
            kept=self.kept, watch=self.watch, wake=self.wake, spans=self._spans,
            running=self._running,
        )  # fmt: skip
        self._watch = asyncio.get_running_loop().call_later(self.timeouts.tick, self._tick)
        await self.snapshots.refresh()

    async def stop(self) -> None:
        if self._parts is not None:
            self._watch.cancel()
            await self._parts.upstreams.close()
            await self.gate.stop()
            await asyncio.to_thread(self.snapshots.stop)
            await asyncio.to_thread(self.spool.stop)
            await asyncio.to_thread(self.kept.stop)
            self._underway.stop()
            if self._spans is not None:
                await asyncio.to_thread(self._spans.stop)

    def wake(self, deployment_id: str) -> None:
        """Have the platform bring back what sleeps; in a thread, for it asks the database."""
        now = time.monotonic()
        if self._rouse is None or self._woken.get(deployment_id, -_WAKE_PAUSE) + _WAKE_PAUSE > now:
            return
        self._woken = {k: at for k, at in self._woken.items() if at + _WAKE_PAUSE > now}
        self._woken[deployment_id] = now
        work = asyncio.get_running_loop().run_in_executor(None, self._rouse, deployment_id)
        work.add_done_callback(_woke)

    def running(self) -> int:
        """Requests that are being answered or wait to be."""
        return len(self._running)

    def picture_age(self) -> float:
        """Seconds since keys and routes were last read."""
        return time.monotonic() - self.snapshots.seen_at

    def keys_and_routes(self) -> tuple[int, int]:
        """How many of both there are."""
        return len(self.snapshots.current.keys), len(self.snapshots.current.routes)

    def request_id(self) -> str:
        return f"{self._prefix}{next(self._count)}"

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

    def complete(
        self, client: Client, asked: Asked, body: bytes, request_id: str | None = None
    ) -> Completion:
        """A completion, to be started by who asks for it."""
        if self._parts is None:
            raise RuntimeError("the server must send lifespan events: uvicorn --lifespan on")
        request_id = request_id or self.request_id()
        return Completion(
            self._parts, client, asked, body, request_id, request_id.encode(), time.perf_counter(),
            None if self._spans is None else begin(asked.trace),
        )  # fmt: skip

    def _tick(self) -> None:
        now = time.perf_counter()
        late = errors.timed_out(f"The answer took longer than {self.timeouts.total:g} s.")
        for completion in list(self._running):
            if now > completion.began + self.timeouts.total:
                completion.stop(late)
            else:
                completion.beat(self.timeouts.heartbeat)
        self._hold_to(self.snapshots.current.keys)
        for watched in list(self.watched):
            watched.look(time.monotonic())
        self._watch = asyncio.get_running_loop().call_later(self.timeouts.tick, self._tick)

    def _hold_to(self, keys: dict[str, Key]) -> None:
        """End what runs by a key that was revoked since; what it used until then is recorded."""
        if keys is self._held_to:
            return
        self._held_to = keys
        if self._running:
            live = {key.id for key in keys.values() if key.may_call}
            for completion in list(self._running):
                completion.hold_to(live)


def _woke(work: asyncio.Future[None]) -> None:
    if not work.cancelled() and (error := work.exception()) is not None:
        # It is asked for again while somebody waits.
        logger.warning("what sleeps could not be woken: %s", error)
