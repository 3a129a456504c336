"""What deployments do for others: the gateway's routes, and the verbs of their life."""

from __future__ import annotations

from slipway.deployments.services.facts import Route, deployment_row, routes
from slipway.deployments.services.verbs import (
    create,
    delete,
    roll_back,
    scale,
    start,
    stop,
    swap,
)

__all__ = [
    "Route",
    "create",
    "delete",
    "deployment_row",
    "roll_back",
    "routes",
    "scale",
    "start",
    "stop",
    "swap",
]
