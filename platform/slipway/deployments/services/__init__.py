"""What deployments do for others: the gateway's routes, and the verbs of their life."""

from __future__ import annotations

from slipway.deployments.services.facts import (
    Route,
    State,
    deployment_row,
    is_deployed,
    routes,
    states,
)
from slipway.deployments.services.sleeping import (
    LEAST_SLEEP_SECONDS,
    MOST_SLEEP_SECONDS,
    change,
    wake,
    wake_up,
)
from slipway.deployments.services.verbs import (
    NAME,
    create,
    delete,
    roll_back,
    scale,
    start,
    stop,
    swap,
)

__all__ = [
    "LEAST_SLEEP_SECONDS",
    "MOST_SLEEP_SECONDS",
    "NAME",
    "Route",
    "State",
    "change",
    "create",
    "delete",
    "deployment_row",
    "is_deployed",
    "roll_back",
    "routes",
    "scale",
    "start",
    "states",
    "stop",
    "swap",
    "wake",
    "wake_up",
]
