"""The Celery app: a nudge says which table to look at, and beat nudges again by itself."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")

import django

django.setup()

from celery import Celery  # noqa: E402
from celery.signals import worker_init  # noqa: E402
from django.conf import settings  # noqa: E402

from slipway.worker import folder_broker  # noqa: E402 - importing it names the transport

app = Celery("slipway", set_as_current=True)


def _transport() -> dict[str, object]:
    if not settings.BROKER_URL.startswith("folder:"):
        return {"socket_timeout": 5, "socket_connect_timeout": 2}
    settings.BROKER_DIR.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(settings.BROKER_DIR),
        "data_folder_out": str(settings.BROKER_DIR),
        "polling_interval": 0.1,
    }


@worker_init.connect
def _tidy(**_: object) -> None:
    # In a pod nobody else makes it, and without a place for its schedule beat ends.
    settings.RUN_DIR.mkdir(parents=True, exist_ok=True)
    if settings.BROKER_URL.startswith("folder:"):
        folder_broker.sweep(settings.BROKER_DIR)


app.conf.update(
    broker_url=settings.BROKER_URL,
    broker_transport_options=_transport(),
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    # A lost nudge is repeated by beat, so nothing is gained by redelivery.
    task_acks_late=False,
    worker_enable_remote_control=False,
    imports=["slipway.worker.tasks"],
    timezone="UTC",
    result_backend=None,
    beat_schedule_filename=str(settings.RUN_DIR / "beat-schedule"),
    beat_schedule={
        name: {"task": f"slipway.{name}", "schedule": every, "options": {"expires": 5 * every}}
        for name, every in {
            "look_everywhere": 1.0,
            "take_in_usage": 1.0,
            "look_outside": 2.0,
            "sweep": 30.0,
        }.items()
    },
    beat_max_loop_interval=1.0,
)
