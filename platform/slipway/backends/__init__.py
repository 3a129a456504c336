"""The world outside: compute, objects, tracking. One small protocol each, chosen in settings."""

from __future__ import annotations

from functools import cache
from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from slipway.backends.compute import Compute
from slipway.backends.objects import Objects
from slipway.backends.queues import Queues
from slipway.backends.tracking import Tracking


@cache
def compute() -> Compute:
    return cast(Compute, import_string(settings.COMPUTE)())


@cache
def objects() -> Objects:
    return cast(Objects, import_string(settings.OBJECTS)())


@cache
def queues() -> Queues | None:
    """None where compute has no queue of its own that could be told who may take how much."""
    return cast(Queues, import_string(settings.QUEUES)()) if settings.QUEUES else None


@cache
def tracking() -> Tracking:
    return cast(Tracking, import_string(settings.TRACKING)())
