"""Say whether the platform can take work now, part by part."""

from __future__ import annotations

from dataclasses import dataclass

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
