"""The queues of the cluster follow the pools and shares kept here."""

from __future__ import annotations

import logging
from uuid import UUID

from slipway import backends
from slipway.backends.compute import ComputeUnavailable
from slipway.backends.queues import Plan, Queue, Standing, queue_name
from slipway.backends.queues import Pool as PlannedPool
from slipway.backends.queues import Share as PlannedShare
from slipway.capacity.models import Pool
from slipway.capacity.services.pools import amounts_of
from slipway.tenancy import services as tenancy

logger = logging.getLogger(__name__)


def plan() -> Plan:
    """Pools, and a queue for every project that is not in the bin."""
    pools = list(Pool.objects.order_by("created_at", "pk").prefetch_related("shares"))
    if not pools:
        return Plan()
    shares: dict[UUID, dict[str, PlannedShare]] = {}
    for pool in pools:
        for share in pool.shares.all():
            planned = PlannedShare(amounts=amounts_of(share), borrows=share.borrows)
            shares.setdefault(share.project_id, {})[pool.name] = planned
    return Plan(
        pools=tuple(
            PlannedPool(name=p.name, node_labels=p.node_labels, amounts=amounts_of(p))
            for p in pools
        ),
        queues=tuple(
            Queue(project=short(project_id), shares=shares.get(project_id, {}))
            for project_id in tenancy.open_projects()
        ),
    )


def keep() -> None:
    """Bring the cluster's queues in step; a cluster that is away is asked again later."""
    queues = backends.queues()
    if queues is None:
        return
    try:
        queues.keep(plan())
    except (ComputeUnavailable, ValueError) as error:
        logger.warning("the queues are not in step: %s", error)


def behind() -> list[str]:
    """What of the cluster's queues is not as it should be, in words; empty when in step."""
    queues = backends.queues()
    if queues is None:
        return []
    try:
        return [f"{name} is not yet as asked for" for name in queues.behind(plan())]
    except ComputeUnavailable as error:
        return [str(error)]


def standing() -> dict[str, Standing]:
    """By `short` id of the project; empty where nothing queues or the cluster is away."""
    queues = backends.queues()
    if queues is None:
        return {}
    try:
        return queues.standing()
    except ComputeUnavailable:
        return {}


def queue_of(*, project_id: UUID) -> str:
    """The queue that a project's workloads stand in; empty where there are no pools."""
    if backends.queues() is None or not Pool.objects.exists():
        return ""
    return queue_name(short(project_id))


def short(project_id: UUID) -> str:
    """A project's part of a queue's name."""
    return project_id.hex[:12]
