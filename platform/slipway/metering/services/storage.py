"""What is kept costs by the hour: looked at once in each, and written for the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from slipway.metering.models import Entry, Kind
from slipway.metering.services import rollups

_MIB = 2**20


def count_storage(*, what: str, sizes: Callable[[], Mapping[UUID, int]], now: datetime) -> None:
    """Write the hour of every project's bytes of one sort (`datasets`, `models`), begun MiB whole.

    `sizes` tells bytes by project, and is asked once an hour; counting an hour twice is once.
    """
    hour = rollups.hour_of(now)
    subject = f"storage of {what}"
    seen = Entry.objects.filter(created_at__gte=hour, kind=Kind.STORAGE_MIB_HOURS, subject=subject)
    if seen.exists():
        return
    for project_id, size_bytes in sorted(sizes().items(), key=str):
        rollups.add_entry(
            key=f"{subject}:{project_id}:{hour.isoformat()}",
            at=now,
            project_id=project_id,
            kind=Kind.STORAGE_MIB_HOURS,
            quantity=-(-size_bytes // _MIB),
            model="",
            subject=subject,
        )
