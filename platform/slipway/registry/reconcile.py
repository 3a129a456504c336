"""Walk versions, their mirrors in the tracker, and exports through their lives."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Sum

from slipway.metering import services as metering
from slipway.registry.models import Export, ExportPhase, Mirror, ModelVersion, VersionPhase
from slipway.registry.services import exports, ingest, keeping, mirror, uploads
from slipway.tenancy.services import retention


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
    """Forget uploads that nobody came back for, empty the bin, and count what is kept."""
    for project_id, until in retention.cuts("bin", now):
        keeping.empty_bin(until=until, now=now, project_id=project_id)
    uploads.forget_old(now)
    metering.count_storage(what="models", sizes=_sizes, now=now)


def _sizes() -> dict[UUID, int]:
    """Bytes of models by project; an adapter's are its own, without those of its base."""
    kept = ModelVersion.objects.filter(phase=VersionPhase.READY).order_by()
    sums = kept.values_list("project_id").annotate(Sum("size_bytes"))
    return {project_id: size for project_id, size in sums if size}
