"""What hosting costs: the time that replicas answer, written in the ledger every few minutes."""

from __future__ import annotations

from datetime import datetime, timedelta

from slipway.deployments.models import Revision
from slipway.metering import services as metering

_EVERY = timedelta(minutes=5)


def charge(now: datetime) -> None:
    """Count the time since the last count, once; the pieces are as long as `_EVERY` or shorter."""
    counted = Revision.objects.exclude(charged_until=None)
    for revision in counted.select_related("deployment").order_by("pk"):
        up = bool(revision.endpoints) and revision.removed_at is None
        end = min(revision.removed_at or now, now)
        if up and end - revision.charged_until < _EVERY:
            continue
        _add(revision, end)
        # Whoever moves the mark has counted; the entry's key keeps it from being counted twice.
        same = Revision.objects.filter(pk=revision.pk, charged_until=revision.charged_until)
        same.update(charged_until=end if up else None)
    begun = Revision.objects.filter(charged_until=None, removed_at=None, served_at__isnull=False)
    begun.exclude(endpoints=[]).update(charged_until=now)


def _add(revision: Revision, end: datetime) -> None:
    gpus = revision.workload().gpus
    replicas = len(revision.endpoints) or revision.replicas
    milliseconds = int((end - revision.charged_until).total_seconds() * 1000)
    metering.add_entry(
        key=f"revision {revision.pk}:{revision.charged_until.isoformat()}",
        at=end,
        project_id=revision.project_id,
        kind="gpu_milliseconds" if gpus else "cpu_milliseconds",
        quantity=milliseconds * replicas * max(gpus, 1),
        model=revision.reference.partition("@")[0],
        subject=f"deployment {revision.deployment_id}",
    )
