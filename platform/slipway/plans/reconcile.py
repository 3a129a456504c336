"""Subscriptions are paid, or end, when their term is over."""

from __future__ import annotations

from datetime import datetime

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.plans import services
from slipway.plans.models import Subscription

WATCHED: list[tuple[type[Tracked], Step]] = [(Subscription, services.renew)]


def sweep(_now: datetime) -> None:
    """Nothing here is left over."""
