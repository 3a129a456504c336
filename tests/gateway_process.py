"""`uvicorn --http gateway_process:Protocol gateway_process:app`, to be killed or measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gateway_world import OTHER_SECRET, SECRET, digest

from slipway.gateway.asgi import Gateway
from slipway.gateway.facts import Key, Route, Snapshot
from slipway.gateway.server import HotProtocol

PROJECT, KEY = "a0000000-0000-0000-0000-000000000001", "b0000000-0000-0000-0000-000000000001"
DEPLOYMENT, VERSION = "d0000000-0000-0000-0000-000000000001", "e0000000-0000-0000-0000-000000000001"


def load() -> Snapshot:
    route = Route(
        project_id=PROJECT,
        name="m",
        deployment_id=DEPLOYMENT,
        version_id=VERSION,
        endpoints=tuple(os.environ["ENGINE"].split(",")),
        state="live",
    )
    keys = {
        digest(SECRET): Key(id=KEY, project_id=PROJECT),
        digest(OTHER_SECRET): Key(id=KEY, project_id="none"),
    }
    return Snapshot(keys=keys, routes={(PROJECT, "m"): route})


gateway = Gateway(load=load, digest=digest, spool=Path(os.environ["SPOOL"]))


class Protocol(HotProtocol):
    core = gateway


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await gateway.lifespan(receive, send)
    else:
        await gateway(scope, receive, send)
