"""Nothing here has a life of its own; the spool is taken in, budgets are watched."""

from __future__ import annotations

from datetime import datetime

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.metering import services

WATCHED: list[tuple[type[Tracked], Step]] = []


def sweep(now: datetime) -> None:
    services.ingest_spool(now=now)
    services.forget_finished(now=now)
    services.raise_alerts(now=now)
