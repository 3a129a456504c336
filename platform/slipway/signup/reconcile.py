"""Sends letters to who signed up, and forgets who did not answer."""

from __future__ import annotations

from datetime import datetime

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.signup import services
from slipway.signup.models import SignUp

WATCHED: list[tuple[type[Tracked], Step]] = [(SignUp, services.send)]


def sweep(now: datetime) -> None:
    services.forget(now=now)
