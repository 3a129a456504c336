"""Write ready versions into the tracker's own registry; late is fine, never is only a warning."""

from __future__ import annotations

from datetime import datetime, timedelta

from slipway import backends
from slipway.backends.tracking import TrackingUnavailable
from slipway.core import lifecycle
from slipway.registry.models import Mirror, MirrorPhase
from slipway.registry.services.facts import fact_of

LONGEST_PAUSE = timedelta(minutes=10)


def step(mirror: Mirror, now: datetime) -> timedelta | None:
    """Write or remove the entry; on failure warn once and try again ever more rarely."""
    try:
        if mirror.phase == MirrorPhase.WAITING:
            _write(mirror, now)
        elif mirror.phase == MirrorPhase.REMOVING:
            backends.tracking().unregister(model=_name(mirror), version=mirror.number)
            lifecycle.advance(mirror, MirrorPhase.REMOVED, now=now)
    except TrackingUnavailable as error:
        if not mirror.reason:
            text = f"not in the tracker's registry yet, will be tried again: {error}"
            lifecycle.tell(mirror.version, now=now, kind="tracking", text=text, level="warning")
        lifecycle.annotate(mirror, reason=str(error)[:500])
        return min(LONGEST_PAUSE, max(timedelta(seconds=5), (now - mirror.created_at) / 4))
    return None


def _write(mirror: Mirror, now: datetime) -> None:
    fact = fact_of(mirror.version)
    tags = {
        "slipway.reference": fact.reference,
        "slipway.sha256": fact.sha256,
        "slipway.kind": fact.kind,
        "slipway.job": str(fact.job_id or ""),
        "slipway.dataset_version": str(fact.dataset_version_id or ""),
        "slipway.base_version": str(mirror.version.base_id or ""),
    }
    number = backends.tracking().register(
        model=_name(mirror),
        source_uri=fact.uri,
        key=str(fact.id),
        run=fact.tracking_run,
        tags={name: value for name, value in tags.items() if value},
    )
    lifecycle.advance(mirror, MirrorPhase.WRITTEN, now=now, number=number)


def _name(mirror: Mirror) -> str:
    # Projects share one tracker; its names know no projects.
    return f"{mirror.version.project_id}.{mirror.version.model.name}"
