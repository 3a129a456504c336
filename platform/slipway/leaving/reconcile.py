"""Packs what organisations take away, and removes those that go, once their time is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.leaving.models import Departure, Takeout, TakeoutPhase
from slipway.leaving.services import departures, takeouts


def step_takeout(takeout: Takeout, now: datetime) -> timedelta | None:
    if takeout.phase == TakeoutPhase.MAKING:
        takeouts.make(takeout, now)
    return None


WATCHED: list[tuple[type[Tracked], Step]] = [(Takeout, step_takeout), (Departure, departures.step)]


def sweep(now: datetime) -> None:
    takeouts.expire(now)
    departures.forget_books(now)
