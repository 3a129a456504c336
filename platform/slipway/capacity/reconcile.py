"""Nothing here has a life of its own; the cluster's queues are kept in step."""

from __future__ import annotations

from datetime import datetime

from slipway.capacity import services
from slipway.core.models import Tracked
from slipway.core.reconcile import Step

WATCHED: list[tuple[type[Tracked], Step]] = []


def sweep(_now: datetime) -> None:
    services.keep()
