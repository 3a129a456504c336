"""Nothing here has a life of its own; sessions and wrong passwords that are over are forgotten."""

from __future__ import annotations

from datetime import datetime

from django.contrib.sessions.models import Session

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.tenancy.services import own, signin
from slipway.tenancy.services.signon.saml import kept

WATCHED: list[tuple[type[Tracked], Step]] = []


def sweep(now: datetime) -> None:
    own.forget_sessions(now=now)
    signin.forget_failures(now=now)
    kept.forget(now=now)
    Session.objects.filter(expire_date__lt=now).delete()
