"""Ask the worker to look soon; a nudge carries no data, so losing one costs only time."""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction

from slipway.core.models import Tracked

logger = logging.getLogger(__name__)


def soon(model: type[Tracked]) -> None:
    """After this transaction commits, nudge the worker to look at records of `model`."""
    transaction.on_commit(lambda: _send(model._meta.label_lower))


def _send(label: str) -> None:
    try:
        current_app.send_task("slipway.look", args=[label], ignore_result=True, retry=False)
    except Exception:  # noqa: BLE001 - beat looks anyway; a broker that is away must not fail a request
        logger.warning("could not nudge the worker about %s; it will look by itself", label)
