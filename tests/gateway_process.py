"""`uvicorn --http gateway_process:Protocol gateway_process:app`, to be killed or measured."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from gateway_world import OTHER_SECRET, SECRET, digest

from slipway.gateway import snapshot
from slipway.gateway.asgi import Gateway
from slipway.gateway.facts import Key, Limit, Route, Snapshot
from slipway.gateway.leases import Exchange
from slipway.gateway.server import HotProtocol
from slipway.metering.rules.reserver import Limit as Budget

PROJECT, KEY = "a0000000-0000-0000-0000-000000000001", "b0000000-0000-0000-0000-000000000001"
DEPLOYMENT, VERSION = "d0000000-0000-0000-0000-000000000001", "e0000000-0000-0000-0000-000000000001"
ENOUGH = 10**9


def picture() -> Snapshot:
    """Everything that can be counted is, against limits that are never met."""
    route = Route(
        project_id=PROJECT,
        name="m",
        deployment_id=DEPLOYMENT,
        version_id=VERSION,
        endpoints=tuple(os.environ["ENGINE"].split(",")),
        state="live",
    )
    keys = {
        digest(SECRET): Key(id=KEY, project_id=PROJECT, organisation_id="o"),
        digest(OTHER_SECRET): Key(id=KEY, project_id="none"),
    }
    for number in range(len(keys), int(os.environ.get("KEYS", "0"))):
        keys[digest(str(number))] = Key(id=str(number), project_id=PROJECT, organisation_id="o")
    routes = {(PROJECT, "m"): route}
    for number in range(len(routes), int(os.environ.get("MODELS", "0"))):
        name = f"m{number}"
        routes[PROJECT, name] = dataclasses.replace(route, name=name, deployment_id=name)
    asks = int(os.environ.get("LIMIT", ENOUGH))
    limit = Limit(requests_per_minute=asks, tokens_per_minute=ENOUGH, at_once=ENOUGH)
    return Snapshot(
        keys=keys,
        routes=routes,
        limits={(PROJECT, KEY, ""): limit},
        budgets={("project", PROJECT): Budget(left=10**24, spent=0)},
        prices={("o", name): (0, 1, 1) for _, name in routes},
    )


PICTURE = picture()


def load() -> Snapshot:
    return PICTURE


def shared() -> Exchange | None:
    """Where the limits are shared with other gateways, as in production: by the database."""
    if "SHARE_LIMITS" not in os.environ:
        return None
    import django

    django.setup()
    return snapshot.exchange


gateway = Gateway(load=load, digest=digest, spool=Path(os.environ["SPOOL"]), exchange=shared())


class Protocol(HotProtocol):
    core = gateway


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await gateway.lifespan(receive, send)
    else:
        await gateway(scope, receive, send)
