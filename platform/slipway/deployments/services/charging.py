"""What hosting costs: the time that replicas answer, written in the ledger every few minutes."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from slipway.deployments.models import Revision
from slipway.metering import services as metering
from slipway.plans import services as plans

_EVERY = timedelta(minutes=5)


def charge(now: datetime) -> None:
    """Count the time since the last count, once; the pieces are as long as `_EVERY` or shorter."""
    counted = Revision.objects.exclude(charged_until=None)
    for revision in counted.select_related("deployment").order_by("pk"):
        up = bool(revision.endpoints) and revision.removed_at is None
        end = min(revision.removed_at or now, now)
        if up and end - revision.charged_until < _EVERY:
            continue
        # Whoever moves the mark counts, in the same transaction: once, also where two look at once.
        same = Revision.objects.filter(pk=revision.pk, charged_until=revision.charged_until)
        with transaction.atomic():
            if same.update(charged_until=end if up else None):
                _add(revision, end)
    begun = Revision.objects.filter(charged_until=None, removed_at=None, served_at__isnull=False)
    begun.exclude(endpoints=[]).update(charged_until=now)


def _add(revision: Revision, end: datetime) -> None:
    gpus = revision.workload().gpus
    replicas = _replicas(revision)
    paid = min(replicas, _paid_for(revision))
    milliseconds = int((end - revision.charged_until).total_seconds() * 1000) * max(gpus, 1)
    key = f"revision {revision.pk}:{revision.charged_until.isoformat()}"
    kind = "gpu_milliseconds" if gpus else "cpu_milliseconds"
    for name, of_kind, count in (
        (key, kind, replicas - paid), (f"{key}:paid", "paid_milliseconds", paid),
    ):  # fmt: skip
        metering.add_entry(
            key=name, at=end, project_id=revision.project_id, kind=of_kind,
            quantity=milliseconds * count, model=revision.reference.partition("@")[0],
            subject=f"deployment {revision.deployment_id}",
        )  # fmt: skip


def _paid_for(revision: Revision) -> int:
    """How many of its replicas subscriptions pay; what they pay goes to the oldest ones first."""
    name = revision.deployment.name
    paid = plans.replicas_paid(project_id=revision.project_id, model=name)
    if not paid:
        return 0
    before = Revision.objects.filter(
        project_id=revision.project_id, deployment__name=name, charged_until__isnull=False,
        removed_at=None, created_at__lt=revision.created_at,
    ).exclude(endpoints=[])  # fmt: skip
    return max(0, paid - sum(_replicas(other) for other in before))


def _replicas(revision: Revision) -> int:
    return len(revision.endpoints) or revision.replicas
