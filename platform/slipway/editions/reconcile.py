"""Nothing here has a life of its own; the latest time is remembered."""

from __future__ import annotations

from datetime import datetime

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.editions import services

WATCHED: list[tuple[type[Tracked], Step]] = []


def sweep(now: datetime) -> None:
    services.look_at_clock(now=now)
