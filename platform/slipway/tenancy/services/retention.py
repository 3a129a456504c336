"""For how many days a project keeps what goes by itself: never longer than the installation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from slipway.core.errors import Detail, Invalid
from slipway.tenancy.models import Project

#: Days that answers are stored for, as at OpenAI.
STORED_DAYS = 30


def longest() -> dict[str, int]:
    """The installation's own days by kind: what counts where a project says nothing.

    The kinds are the bin, stored chat completions and responses.
    """
    return {"bin": settings.BIN_DAYS, "completions": STORED_DAYS, "responses": STORED_DAYS}


def of(*, project_id: UUID) -> dict[str, int]:
    """Days by kind that a project itself has set."""
    return dict(Project.objects.values_list("retention", flat=True).get(pk=project_id))


def set_days(*, project_id: UUID, days: Mapping[str, int | None]) -> None:
    """Keep so long from now on; None is as long as the installation. Invalid for more."""
    most = longest()
    own = {kind: given for kind, given in days.items() if given is not None}
    faults = [
        Detail(field=kind, rule=f"0 to {most[kind]} days", value=given,
               fix="shorten it, or leave it out")
        for kind, given in own.items() if not 0 <= given <= most[kind]
    ]  # fmt: skip
    if faults:
        raise Invalid("A project keeps nothing longer than the installation does.", *faults)
    Project.objects.filter(pk=project_id).update(retention=own)


def cuts(kind: str, now: datetime) -> Iterator[tuple[UUID | None, datetime]]:
    """What is older goes: of all projects (None), and of each that keeps it for fewer days."""
    most = longest()[kind]
    yield None, now - timedelta(days=most)
    for project_id, own in Project.objects.exclude(retention={}).values_list("pk", "retention"):
        if own.get(kind, most) < most:
            yield project_id, now - timedelta(days=own[kind])
