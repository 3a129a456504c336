"""What hosting costs: the time that replicas answer, written in the ledger every few minutes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from slipway.deployments.models import Revision
from slipway.metering import services as metering
from slipway.plans import services as plans

_EVERY = timedelta(minutes=5)
#: From, until, and how many replicas subscriptions pay meanwhile.
_Piece = tuple[datetime, datetime, int]


def charge(now: datetime) -> None:
    """Count the time since the last count, once; the pieces are as long as `_EVERY` or shorter."""
    counted = Revision.objects.exclude(charged_until=None)
    for revision in counted.select_related("deployment").order_by("pk"):
        up = bool(revision.endpoints) and revision.removed_at is None
        end = min(revision.removed_at or now, now)
        if up and end - revision.charged_until < _EVERY:
            continue
        if (pieces := _pieces(revision, end)) is None:
            continue
        # Whoever moves the mark counts, in the same transaction: once, also where two look at once.
        same = Revision.objects.filter(pk=revision.pk, charged_until=revision.charged_until)
        with transaction.atomic():
            if same.update(charged_until=end if up else None):
                _add(revision, pieces)
    begun = Revision.objects.filter(charged_until=None, removed_at=None, served_at__isnull=False)
    begun.exclude(endpoints=[]).update(charged_until=now)


def _add(revision: Revision, pieces: Iterable[_Piece]) -> None:
    gpus, replicas = revision.workload().gpus, _replicas(revision)
    kind = "gpu_milliseconds" if gpus else "cpu_milliseconds"
    for since, until, most in pieces:
        paid = min(replicas, most)
        milliseconds = int((until - since).total_seconds() * 1000) * max(gpus, 1)
        key = f"revision {revision.pk}:{since.isoformat()}"
        for name, of_kind, count in (
            (key, kind, replicas - paid), (f"{key}:paid", "paid_milliseconds", paid),
        ):  # fmt: skip
            metering.add_entry(
                key=name, at=until, project_id=revision.project_id, kind=of_kind,
                quantity=milliseconds * count, model=revision.reference.partition("@")[0],
                subject=f"deployment {revision.deployment_id}",
            )  # fmt: skip


def _pieces(revision: Revision, end: datetime) -> list[_Piece] | None:
    """The time since the last count, cut where another number of its replicas is paid.

    What subscriptions pay goes to the oldest replicas of the name first. None while what they
    pay is being settled.
    """
    name, begin = revision.deployment.name, revision.charged_until
    paid = plans.replicas_paid(
        project_id=revision.project_id, model=name, since=begin, until=end
    )  # fmt: skip
    if not paid:
        return None if paid is None else [(begin, end, 0)]
    here = Revision.objects.filter(
        project_id=revision.project_id, deployment__name=name, served_at__isnull=False,
        created_at__lt=revision.created_at,
    )  # fmt: skip
    older = [
        (_replicas(row), row.removed_at or end)
        for row in here.filter(
            Q(removed_at__gt=begin) | Q(removed_at=None) & ~Q(endpoints=[])
        ).order_by("pk")
    ]
    edges = {begin, end, *(gone for _, gone in older)}
    edges |= {moment for each in paid for moment in (each.since, each.until)}
    found = []
    for since, until in itertools.pairwise(sorted(edges)):
        if begin <= since and until <= end:
            most = sum(each.replicas for each in paid if each.since <= since < each.until)
            most -= sum(replicas for replicas, gone in older if since < gone)
            found.append((since, until, max(0, most)))
    return found


def _replicas(revision: Revision) -> int:
    return len(revision.endpoints) or revision.replicas
