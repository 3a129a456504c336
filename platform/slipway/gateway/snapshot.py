"""A picture of keys and routes, taken anew in a thread; without a database the last one stays."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from slipway.gateway.facts import Key, Limit, Route, Snapshot
from slipway.limits.rules import Ask, Exchanged
from slipway.metering.rules.reserver import Limit as Budget
from slipway.metering.rules.reserver import Owner

logger = logging.getLogger(__name__)

#: Two looks are at least this far apart, in seconds, however many ask for one.
_LEAST_GAP = 0.05
#: Looking may take this part of one core's time.
_SHARE = 0.2


class Snapshots:
    """`current` is replaced whole, never changed; `load` makes a new one and may block or raise."""

    def __init__(self, load: Callable[[], Snapshot], *, every_seconds: float = 0.5) -> None:
        self.current = Snapshot()
        self._load = load
        self._every = every_seconds
        self._asked = threading.Event()
        self._stopping = False
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    async def refresh(self, *, timeout_seconds: float = 1.0) -> None:
        """Return once a look that began after this call has ended, or could not be had in time."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._lock:
            self._waiting.append((loop, future))
        self._asked.set()
        await asyncio.wait([future], timeout=timeout_seconds)
        future.cancel()

    def _run(self) -> None:
        while not self._stopping:
            self._asked.clear()
            with self._lock:
                waiting, self._waiting = self._waiting, []
            began = time.monotonic()
            self._look()
            for loop, future in waiting:
                # A loop that is gone has nobody waiting.
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle, future)
            gap = max(_LEAST_GAP, (time.monotonic() - began) / _SHARE)
            time.sleep(gap)
            self._asked.wait(max(0.0, self._every - gap))

    def _look(self) -> None:
        try:
            self.current = self._load()
        except Exception as error:  # noqa: BLE001 - whatever it is, yesterday's picture serves better than none
            if not self._failing:
                logger.warning("keys and routes cannot be read, serving the last ones: %s", error)
            self._failing = True
        else:
            if self._failing:
                logger.warning("keys and routes can be read again")
            self._failing = False


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def load() -> Snapshot:
    """The picture as the database has it now."""
    from django.db import close_old_connections, connections
    from django.utils import timezone

    from slipway.deployments import services as deployments
    from slipway.gateway import adapters
    from slipway.limits import services as limits
    from slipway.registry import services as registry
    from slipway.tenancy import services as tenancy
    from slipway.training import services as training

    close_old_connections()
    try:
        keys = {
            fact.digest: Key(
                id=str(fact.id),
                project_id=str(fact.project_id),
                expires_at=fact.expires_at.timestamp() if fact.expires_at else None,
                organisation_id=str(fact.organisation_id),
                may_call=fact.may_call,
                networks=fact.networks,
            )
            for fact in tenancy.live_keys(now=timezone.now())
        }
        facts = deployments.routes()
        routes = {(str(fact.project_id), fact.name): _route(fact) for fact in facts}
        homes = adapters.homes(facts)
        for route in adapters.beside(
            homes, registry.adapters_on(set(homes)), training.adapter_checkpoints(set(homes))
        ):
            # What was deployed under a name keeps it.
            routes.setdefault((route.project_id, route.name), route)
        limited = {
            (str(fact.project_id), str(fact.key_id or ""), fact.model): Limit(
                requests_per_minute=fact.requests_per_minute,
                tokens_per_minute=fact.tokens_per_minute,
                at_once=fact.at_once,
            )
            for fact in limits.all_limits()
        }
        money, prices = _money(keys, routes)
    except Exception:
        # A connection that failed once may be broken for good; the next look opens a new one.
        connections.close_all()
        raise
    return Snapshot(keys=keys, routes=routes, limits=limited, budgets=money, prices=prices)


def _money(
    keys: dict[str, Key], routes: dict[tuple[str, str], Route]
) -> tuple[dict[Owner, Budget], dict[tuple[str, str], tuple[int, int, int]]]:
    """Hard limits, and the prices of every model that an organisation may call."""
    from django.utils import timezone

    from slipway.metering import services as metering

    now = timezone.now()
    limits = {
        (fact.reach, str(fact.target_id)): Budget(left=fact.left, spent=fact.spent)
        for fact in metering.budget_facts(now=now)
    }
    if not limits:
        return {}, {}
    homes = {key.project_id: key.organisation_id for key in keys.values()}
    wanted = {(homes[p], name) for p, name in routes if p in homes}
    return limits, metering.price_facts(wanted=wanted, at=now)


def _route(fact: Any) -> Route:
    """A deployment's own route, from its `deployments.services.Route`."""
    return Route(
        project_id=str(fact.project_id),
        name=fact.name,
        deployment_id=str(fact.deployment_id),
        version_id=str(fact.version_id),
        endpoints=fact.endpoints,
        state=fact.state,
        reason=fact.reason,
        created_at=int(fact.created_at.timestamp()),
        root=fact.root,
        parent=fact.parent,
        context_length=fact.context_length,
        capabilities=fact.capabilities,
    )


def exchange(gateway: str, asks: Sequence[Ask], now: float) -> Exchanged:
    """Lease from the limits that all gateways share, in the database."""
    from django.db import close_old_connections

    from slipway.limits import services as limits

    close_old_connections()
    return limits.exchange(gateway, asks, now)
