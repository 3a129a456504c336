"""Walk deployments through their lives, and delete workloads that belong to none of them."""

from __future__ import annotations

import logging
from datetime import datetime

from slipway import backends
from slipway.backends.compute import ComputeUnavailable
from slipway.deployments.models import Deployment, Revision
from slipway.deployments.services import charging, watching

logger = logging.getLogger(__name__)

WATCHED = [(Deployment, watching.step)]


def sweep(now: datetime) -> None:
    """Count what replicas cost; delete `serve-*` workloads whose revision is gone or unknown.

    Names are read before rows, so a workload sent meanwhile is not taken for an orphan.
    """
    charging.charge(now)
    try:
        found = [name for name in backends.compute().names() if name.startswith("serve-")]
        if not found:
            return
        wanted = {
            revision.workload_name
            for revision in Revision.objects.filter(removed_at=None).order_by("pk")
        }
        for name in found:
            if name not in wanted:
                logger.warning("deleting orphaned workload %s", name)
                backends.compute().delete(name)
    except ComputeUnavailable as error:
        logger.info("cannot sweep: %s", error)
