"""The one place a phase changes.

A move is a guarded UPDATE plus an Event, in one transaction. Two workers may try the same
move; the database lets one through and tells the other it lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce

from slipway.core.models import Event, Tracked


class NoSuchMove(Exception):
    """The lifecycle draws no arrow between these phases."""


class LostRace(Exception):
    """Someone else moved the record first; what we know of it is stale."""


@dataclass(frozen=True)
class Lifecycle:
    """Phase to the phases it may move to; a phase with no arrow out is at rest.

    `resting` names phases that keep arrows (a user may wake them) but that no worker needs
    to look at meanwhile, such as a stopped deployment.
    """

    arrows: Mapping[str, tuple[str, ...]]
    resting: frozenset[str] = frozenset()

    def allows(self, source: str, target: str) -> bool:
        return target in self.arrows.get(source, ())

    def at_rest(self, phase: str) -> bool:
        return phase in self.resting or not self.arrows.get(phase)

    def final(self, phase: str) -> bool:
        return not self.arrows.get(phase)


def advance(
    record: Tracked, target: str, *, now: datetime, reason: str = "", **fields: Any
) -> None:
    """Move the record to `target`, storing `fields` with the move, or raise.

    Raises NoSuchMove where the lifecycle has no such arrow, LostRace where the row is no
    longer in the phase this record was read in.
    """
    lifecycle: Lifecycle = record.LIFECYCLE
    source = record.phase
    if not lifecycle.allows(source, target):
        raise NoSuchMove(f"{record} cannot move to {target}")
    changes = fields | {"phase": target, "reason": reason}
    # A held lease stays held: whoever moves the phase, only its holder touches the world.
    look_at = None if lifecycle.at_rest(target) else Coalesce("look_at", Value(now))
    with transaction.atomic():
        here = type(record).objects.filter(pk=record.pk, phase=source)
        moved = here.update(look_at=look_at, **changes)
        if not moved:
            raise LostRace(str(record))
        Event.objects.create(
            subject=subject_of(record), source=source, target=target, reason=reason, at=now
        )
    for name, value in changes.items():
        setattr(record, name, value)


def annotate(record: Tracked, *, reason: str, **fields: Any) -> None:
    """Say anew why the record is where it is; no move, so no event. LostRace if it moved."""
    changes = fields | {"reason": reason}
    if all(getattr(record, name) == value for name, value in changes.items()):
        return
    here = type(record).objects.filter(pk=record.pk, phase=record.phase)
    if not here.update(**changes):
        raise LostRace(str(record))
    for name, value in changes.items():
        setattr(record, name, value)


def born(record: Tracked, *, now: datetime, reason: str = "") -> None:
    """Record the first event of a life; call it in the transaction that creates the row."""
    Event.objects.create(
        subject=subject_of(record), source="", target=record.phase, reason=reason, at=now
    )


def tell(
    record: Tracked,
    *,
    now: datetime,
    kind: str,
    text: str,
    level: str = "info",
    data: dict[str, Any] | None = None,
) -> None:
    """Add an event that is no move: a warning, a checkpoint, a stage reached."""
    Event.objects.create(
        subject=subject_of(record), level=level, kind=kind, reason=text, data=data or {}, at=now
    )


def subject_of(record: Tracked) -> str:
    return f"{record._meta.label}:{record.pk}"
