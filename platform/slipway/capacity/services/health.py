"""Say whether the platform can take work now, part by part."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, connection

from slipway import backends
from slipway.backends.compute import ComputeUnavailable, Readiness


@dataclass(frozen=True, kw_only=True)
class Health:
    database: Readiness
    compute: Readiness


def health() -> Health:
    return Health(database=_database(), compute=compute())


def compute() -> Readiness:
    """Whether runs can start now; while compute warms up, the reason names the stage."""
    try:
        return backends.compute().readiness()
    except ComputeUnavailable as error:
        return Readiness(ready=False, reason=str(error))


def _database() -> Readiness:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return Readiness(ready=False, reason=f"the database does not answer: {error}")
    return Readiness(ready=True)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the installation has; disk is that of its home, where the control plane runs."""

    disk_bytes: int
    disk_free_bytes: int
    #: Of all nodes together, busy or not; None while nobody knows.
    gpus: int | None
    cpus: int | None
    memory_bytes: int | None


def machine() -> Machine:
    disk = shutil.disk_usage(settings.HOME)
    try:
        room = backends.compute().room()
    except ComputeUnavailable:
        room = None
    return Machine(
        disk_bytes=disk.total,
        disk_free_bytes=disk.free,
        gpus=room.gpus if room else None,
        cpus=room.cpus if room else None,
        memory_bytes=room.memory_bytes if room else None,
    )
