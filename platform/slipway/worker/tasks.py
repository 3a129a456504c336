"""Look at what is due: one table when nudged, all of them when beat ticks."""

from __future__ import annotations

import threading
from importlib import import_module

from celery import shared_task
from django.db import close_old_connections
from django.utils import timezone

from slipway.core import reconcile
from slipway.core.models import Tracked
from slipway.door.services import completions
from slipway.metering import services as metering
from slipway.traffic import services as traffic

#: Domains with a life. Each has `WATCHED`, its (model, step) pairs, and `sweep(now)`, which
#: removes what nobody owns any more.
DOMAINS = [
    "datasets",
    "registry",
    "training",
    "evaluation",
    "deployments",
    "metering",
    "plans",
    "quotas",
    "capacity",
    "audit",
    "editions",
    "door",
    "notices",
    "signup",
    "tenancy",
    "leaving",
]


#: Tables whose steps move bytes or wait for answers, and may take minutes. Each kind has two of
#: the worker's threads at most, so that jobs and deployments are looked at whatever others do.
_bytes_slots, _batch_slots = threading.BoundedSemaphore(2), threading.BoundedSemaphore(2)
_eval_slots, _notice_slots = threading.BoundedSemaphore(2), threading.BoundedSemaphore(2)
_leaving_slots = threading.BoundedSemaphore(2)
LONG = {
    "datasets.version": _bytes_slots,
    "datasets.export": _bytes_slots,
    "datasets.leakcheck": _bytes_slots,
    "registry.modelversion": _bytes_slots,
    "registry.export": _bytes_slots,
    "door.batch": _batch_slots,
    "door.evalrun": _eval_slots,
    "notices.delivery": _notice_slots,
    "signup.signup": _notice_slots,
    "signup.letter": _notice_slots,
    "leaving.takeout": _leaving_slots,
    "leaving.departure": _leaving_slots,
}


def watched() -> dict[str, tuple[type[Tracked], reconcile.Step]]:
    """Label of each table that has a life, to its model and step."""
    found = {}
    for domain in DOMAINS:
        for model, step in import_module(f"slipway.{domain}.reconcile").WATCHED:
            found[model._meta.label_lower] = (model, step)
    return found


@shared_task(name="slipway.look", ignore_result=True)
def look(label: str) -> None:
    slots = LONG.get(label)
    if slots is None:
        _look(label)
    elif slots.acquire(blocking=False):
        try:
            _look(label)
        finally:
            slots.release()


def _look(label: str) -> None:
    close_old_connections()
    model, step = watched()[label]
    # A record that moved is due again at once; follow it while it runs, but not for ever.
    for _ in range(10):
        if not reconcile.run_due(model, step, now=timezone.now()):
            break


@shared_task(name="slipway.look_everywhere", ignore_result=True)
def look_everywhere() -> None:
    for label in watched():
        look(label)


@shared_task(name="slipway.take_in_usage", ignore_result=True)
def take_in_usage() -> None:
    close_old_connections()
    metering.ingest_spool(now=timezone.now())
    completions.take_in(now=timezone.now())


@shared_task(name="slipway.look_outside", ignore_result=True)
def look_outside() -> None:
    close_old_connections()
    traffic.tend(now=timezone.now())


@shared_task(name="slipway.sweep", ignore_result=True)
def sweep() -> None:
    close_old_connections()
    for domain in DOMAINS:
        import_module(f"slipway.{domain}.reconcile").sweep(timezone.now())
