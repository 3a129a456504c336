"""`python -m slipway.worker.settle`: take in usage where no worker shares the gateway's disk.

It runs beside each gateway of a cluster, is started before it and stopped after it, and leaves
when the gateway's last record is in the database.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

PAUSE_SECONDS = 1.0
#: A database that is away when the pod is told to go gets this many more tries.
LAST_TRIES = 10

logger = logging.getLogger(__name__)


def main() -> int:
    """Exit status 1 when records are left behind."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "slipway.settings")
    import django

    django.setup()
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    while not stop.wait(PAUSE_SECONDS):
        take_in()
    for _ in range(LAST_TRIES):
        if take_in() and not _left():
            return 0
        threading.Event().wait(PAUSE_SECONDS)
    logger.error("usage records are left in the spool: %s", ", ".join(_left()))
    return 1


def take_in() -> bool:
    """Take in what there is; False when the database did not take it."""
    from django.db import DatabaseError, close_old_connections
    from django.utils import timezone

    from slipway.metering import services

    close_old_connections()
    try:
        services.ingest_spool(now=timezone.now())
    except DatabaseError as error:
        logger.warning("usage records wait for the database: %s", error)
        return False
    return True


def _left() -> list[str]:
    from django.conf import settings

    return sorted(path.name for path in settings.USAGE_SPOOL.glob("*.jsonl"))


if __name__ == "__main__":
    sys.exit(main())
