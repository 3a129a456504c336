"""What other domains may ask of plans."""

from __future__ import annotations

from slipway.plans.services.granting import Rates, rates, replicas_paid
from slipway.plans.services.offering import offer, offered, withdraw
from slipway.plans.services.subscribing import (
    change,
    ended_since,
    renew,
    renew_no_more,
    subscribe,
    subscription_of,
    subscriptions_of,
)

__all__ = [
    "Rates",
    "change",
    "ended_since",
    "offer",
    "offered",
    "rates",
    "renew",
    "renew_no_more",
    "replicas_paid",
    "subscribe",
    "subscription_of",
    "subscriptions_of",
    "withdraw",
]
