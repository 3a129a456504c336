"""Nothing here has a life of its own; grants whose term is over are taken back."""

from __future__ import annotations

from datetime import datetime

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.quotas import services

WATCHED: list[tuple[type[Tracked], Step]] = []


def sweep(now: datetime) -> None:
    services.lapse(now=now)
