"""`uvicorn --http gateway_process:Protocol gateway_process:app`, to be killed or measured."""

from __future__ import annotations

import dataclasses
import os
from functools import partial
from pathlib import Path
from typing import Any

from gateway_world import NEIGHBOUR_SECRET, NEIGHBOURS_PLACES, OTHER_SECRET, SECRET, digest

from slipway.gateway import snapshot
from slipway.gateway.asgi import Gateway
from slipway.gateway.facts import Key, Limit, Route, Snapshot
from slipway.gateway.leases import Exchange
from slipway.gateway.server import HotProtocol
from slipway.metering.rules.reserver import Limit as Budget

PROJECT, KEY = "a0000000-0000-0000-0000-000000000001", "b0000000-0000-0000-0000-000000000001"
DEPLOYMENT, VERSION = "d0000000-0000-0000-0000-000000000001", "e0000000-0000-0000-0000-000000000001"
ORGANISATION = "f0000000-0000-0000-0000-000000000001"
ENOUGH = 10**9
#: Another tenant, where `NEIGHBOUR` names its engine.
NEIGHBOUR = "a0000000-0000-0000-0000-000000000002"


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
    line = b"openai-organization: org-%b\r\n" % ORGANISATION.replace("-", "").encode()
    keys = {
        digest(SECRET): Key(id=KEY, project_id=PROJECT, organisation_id=ORGANISATION, line=line),
        digest(OTHER_SECRET): Key(id=KEY, project_id="none"),
    }
    for number in range(len(keys), int(os.environ.get("KEYS", "0"))):
        keys[digest(str(number))] = Key(
            id=str(number), project_id=PROJECT, organisation_id=ORGANISATION, line=line
        )
    routes = {(PROJECT, "m"): route}
    if "NEIGHBOUR" in os.environ:
        keys[digest(NEIGHBOUR_SECRET)] = Key(id="next-door", project_id=NEIGHBOUR)
        routes[NEIGHBOUR, "m"] = dataclasses.replace(
            route, project_id=NEIGHBOUR, deployment_id="next-door",
            endpoints=(os.environ["NEIGHBOUR"],), at_once=NEIGHBOURS_PLACES,
        )  # fmt: skip
    for number in range(len(routes), int(os.environ.get("MODELS", "0"))):
        name = f"m{number}"
        routes[PROJECT, name] = dataclasses.replace(route, name=name, deployment_id=name)
    asks = int(os.environ.get("LIMIT", ENOUGH))
    limit = Limit(requests_per_minute=asks, tokens_per_minute=ENOUGH, at_once=ENOUGH)
    neighbours = Limit(requests_per_minute=int(os.environ.get("NEIGHBOURS_LIMIT", ENOUGH)))
    return Snapshot(
        keys=keys,
        routes=routes,
        limits={(PROJECT, KEY, ""): limit, (NEIGHBOUR, "", ""): neighbours},
        budgets={("project", PROJECT): Budget(left=10**24, spent=0)},
        # Of a request, a prompt token and an answer's token.
        prices={
            (ORGANISATION, name): (0, 1, int(os.environ.get("PRICE", "1"))) for _, name in routes
        },
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


exchange = shared()
gateway = Gateway(
    load=load, digest=digest, spool=Path(os.environ["SPOOL"]), exchange=exchange,
    pay=partial(snapshot.pay, directory=Path(os.environ["SPOOL"])) if exchange else None,
)  # fmt: skip


class Protocol(HotProtocol):
    core = gateway


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await gateway.lifespan(receive, send)
    else:
        await gateway(scope, receive, send)
