"""Sends letters, and forgets who did not answer."""

from __future__ import annotations

from datetime import datetime

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.signup.models import Letter, SignUp
from slipway.signup.services import proving, signing_up

WATCHED: list[tuple[type[Tracked], Step]] = [(SignUp, signing_up.send), (Letter, proving.send)]


def sweep(now: datetime) -> None:
    signing_up.forget(now=now)
    proving.forget(now=now)
