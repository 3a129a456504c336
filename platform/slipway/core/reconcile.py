"""Look at each record that is due, take one step, look again later.

A step reads the world and the row, never a message, so a lost wake-up costs a delay and
nothing else. Claiming a record only pushes its `look_at` ahead: if this worker dies, the
record comes due again by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from slipway.core.lifecycle import LostRace, annotate
from slipway.core.models import Tracked

logger = logging.getLogger(__name__)

#: Longest time a step may hold a record before another worker may take it.
LEASE = timedelta(minutes=2)
#: Time until the next look at a record whose step changed nothing.
PAUSE = timedelta(seconds=1)
#: A step that fails again and again is looked at ever more rarely, at most this rarely.
LONGEST_PAUSE = timedelta(seconds=30)

#: Takes one step; may return how long to wait until the next look.
Step = Callable[[Any, datetime], timedelta | None]


def run_due(model: type[Tracked], step: Step, *, now: datetime, limit: int = 50) -> int:
    """Step every due record once; return how many were stepped."""
    stepped = 0
    manager = model.objects
    for record in manager.filter(look_at__lte=now).order_by("look_at", "pk")[:limit]:
        if not _claim(record):
            continue
        phase, pause = record.phase, None
        try:
            pause = step(record, timezone.now())
        except LostRace:
            logger.info("lost race %s", record)
        except Exception as error:
            # The next look is the retry; one bad record must not stop its neighbours.
            logger.exception("step failed %s", record)
            pause = _complain(record, error)
        _release(record, moved=record.phase != phase, pause=pause)
        stepped += 1
    return stepped


def renew(record: Tracked) -> None:
    """Keep holding the record in the midst of a long step; LostRace if the lease ran out."""
    if not _claim(record):
        raise LostRace(str(record))


def _claim(record: Tracked) -> bool:
    due = type(record).objects.filter(pk=record.pk, look_at=record.look_at)
    lease = timezone.now() + LEASE
    if due.update(look_at=lease) != 1:
        return False
    record.look_at = lease
    return True


def _release(record: Tracked, *, moved: bool, pause: timedelta | None) -> None:
    # A record at rest has no next look; one that moved is worth another look at once.
    held = type(record).objects.filter(pk=record.pk, look_at=record.look_at)
    now = timezone.now()
    held.update(look_at=now + pause if pause is not None else now if moved else now + PAUSE)


def _complain(record: Tracked, error: Exception) -> timedelta:
    """Show the user that we are stuck, and come back later."""
    text = f"internal trouble, trying again: {type(error).__name__}: {error}"[:500]
    waited = timezone.now() - record.created_at
    try:
        annotate(record, reason=text)
    except LostRace:
        return timedelta(0)
    return min(LONGEST_PAUSE, max(PAUSE, waited / 10))
