"""No replica for what nobody asks for: to sleep after a quiet while, awake at the next request."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from slipway.core import lifecycle, nudge
from slipway.deployments.models import Deployment, Phase, RevisionPhase
from slipway.deployments.services import verbs
from slipway.metering import services as metering

LEAST_SLEEP_SECONDS, MOST_SLEEP_SECONDS = 60, 30 * 86_400
#: Between two looks at what sleeps.
PAUSE = timedelta(seconds=5)
#: The gateway lets no request run for longer.
_LONGEST_REQUEST = timedelta(seconds=600)
#: Usage comes out of the spool so much later at most, as long as the worker keeps up.
_SPOOLED = timedelta(seconds=10)


def change(deployment: Deployment, *, now: datetime, **given: Any) -> None:
    """Set `at_once`, `queue` or `sleep_after_seconds`; what is not given stays."""
    if given:
        Deployment.objects.filter(pk=deployment.pk).update(**given)
        text = ", ".join(f"{name} {value}" for name, value in sorted(given.items()))
        lifecycle.tell(deployment, now=now, kind="changed", text=f"now {text}")


def lie_down(deployment: Deployment, *, now: datetime) -> None:
    """Put a live deployment to sleep if it is to, and nobody has asked for it for long enough.

    Requests that have begun may end: the replicas go when none can be left.
    """
    if deployment.phase != Phase.LIVE or deployment.sleep_after_seconds is None:
        return
    quiet = timedelta(seconds=deployment.sleep_after_seconds)
    revision = deployment.revisions.filter(phase=RevisionPhase.SERVING).first()
    if revision is None or revision.served_at is None or revision.served_at > now - quiet:
        return
    asked = metering.was_asked(
        project_id=deployment.project_id, deployment_id=deployment.pk,
        since=now - quiet - _SPOOLED,
    )  # fmt: skip
    if asked:
        return
    drain = max(timedelta(seconds=deployment.drain_seconds), _LONGEST_REQUEST - quiet)
    reason = f"nobody asked for {deployment.sleep_after_seconds} s; the next request wakes it"
    with transaction.atomic():
        lifecycle.advance(deployment, Phase.SLEEPING, now=now, reason=reason)
        lifecycle.advance(
            revision, RevisionPhase.RETIRED, now=now, reason="asleep", remove_at=now + drain
        )


def wake_up(deployment_id: str) -> None:
    """The gateway's way to `wake`."""
    wake(deployment_id=UUID(deployment_id), now=timezone.now())


def wake(*, deployment_id: UUID, now: datetime) -> None:
    """A request is there for it. Waking what is awake changes nothing."""
    deployment = Deployment.objects.filter(pk=deployment_id, phase=Phase.SLEEPING).first()
    if deployment is not None:
        verbs.start(deployment, now=now, by="a request")
        nudge.soon(Deployment)
