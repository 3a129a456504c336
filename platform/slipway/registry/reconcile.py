"""Walk versions, their mirrors in the tracker, and exports through their lives."""

from __future__ import annotations

from datetime import datetime, timedelta

from slipway.registry.models import Export, ExportPhase, Mirror, ModelVersion, VersionPhase
from slipway.registry.services import exports, ingest, keeping, mirror, uploads


def step_version(version: ModelVersion, now: datetime) -> timedelta | None:
    if version.phase == VersionPhase.IMPORTING:
        ingest.take_in(version, now)
    elif version.phase == VersionPhase.DELETING:
        keeping.remove(version, now)
    return None


def step_export(export: Export, now: datetime) -> timedelta | None:
    if export.phase == ExportPhase.MAKING:
        exports.make(export, now)
    return None


WATCHED = [(ModelVersion, step_version), (Mirror, mirror.step), (Export, step_export)]


def sweep(now: datetime) -> None:
    """Forget uploads that nobody came back for."""
    uploads.forget_old(now)
