"""Responses that are made while nobody need listen: their events, their end, their rescue.

The process that makes one says so every second. Whoever finds that it has not for half a minute
takes it for dead, and its response for failed: what was generated so far is in its events.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from slipway.door.models import Response, ResponseEvents
from slipway.door.services.words import Bad

SILENCE = timedelta(seconds=30)
RUNNING = "in_progress"


def beat(row: Response, *, first: int, events: list[str], now: datetime) -> bool:
    """Keep events told since the last time; False if the response is to end, being cancelled."""
    with transaction.atomic():
        here = Response.objects.filter(pk=row.pk, beaten_at__isnull=False, body__status=RUNNING)
        if not here.update(beaten_at=now):
            return False
        _keep(row, first, events)
    return True


def end(row: Response, *, body: dict[str, Any], first: int, events: list[str]) -> bool:
    """Keep the last events and the whole response; False if it was cancelled before."""
    with transaction.atomic():
        here = Response.objects.filter(pk=row.pk, beaten_at__isnull=False, body__status=RUNNING)
        if not here.update(body=body, beaten_at=None):
            return False
        _keep(row, first, events)
    return True


def _keep(row: Response, first: int, events: list[str]) -> None:
    if events:
        ResponseEvents.objects.create(response=row, first=first, text="".join(events))


def cancel(row: Response) -> Response:
    """End it; what makes it hears of that within a second. Cancelling twice is once."""
    if not row.body.get("background"):
        raise Bad(
            f"Only background responses can be cancelled; this one is {row.body.get('status')}. "
            "To end one that is being answered, close its connection.",
            param="response_id",
        )
    return _ended(row, {"status": "cancelled"})


def looked_at(row: Response, *, now: datetime) -> Response:
    """The same; failed if the process that makes it is no more."""
    if row.beaten_at is None or now - row.beaten_at < SILENCE:
        return row
    message = "The process that made this response ended before it did. Ask again."
    return _ended(row, {"status": "failed",
                        "error": {"code": "server_error", "message": message}})  # fmt: skip


def _ended(row: Response, change: dict[str, Any]) -> Response:
    """Decided once, by whoever is first."""
    with transaction.atomic():
        here = Response.objects.select_for_update().get(pk=row.pk)
        if here.beaten_at is not None and here.body.get("status") == RUNNING:
            here.body |= change
            here.beaten_at = None
            here.save(update_fields=["body", "beaten_at"])
    return here


def told(row: Response, *, after: int) -> Iterator[tuple[int, str]]:
    """Events kept so far with a number greater than `after`, in order."""
    kept = row.events.order_by("first")
    begun = kept.filter(first__lte=after + 1).values_list("first", flat=True).last() or 0
    for chunk in kept.filter(first__gte=begun):
        for number, event in enumerate(chunk.text.split("\n\n")[:-1], chunk.first):
            if number > after:
                yield number, f"{event}\n\n"
