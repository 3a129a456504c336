"""Grant a request for a term, or refuse it; take a grant back when its term is over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from slipway.core.errors import Conflict, Detail, Invalid
from slipway.quotas.models import Request, State
from slipway.quotas.services import asking, held
from slipway.tenancy import services as tenancy


def grant(
    *,
    principal: tenancy.Principal,
    request_id: UUID,
    now: datetime,
    given: Mapping[str, Any] | None = None,
    until: datetime | None = None,
    answer: str = "",
) -> Request:
    """Raise the limit, by all that was asked or by `given`, until the term asked for or `until`."""
    with transaction.atomic():
        row = _open(principal, request_id)
        ends = until or row.until
        if ends is not None and ends <= now:
            raise Invalid(
                "The term has passed already; give another.",
                Detail(field="until", rule="later than now", value=ends.isoformat()),
            )
        fields = held.checked(held.value_of(row), given or row.wanted)
        before = held.set_to(row, fields)
        row.granted, row.before, row.until = fields, before, ends
        _answered(row, State.GRANTED, principal, now, answer)
    return row


def refuse(
    *, principal: tenancy.Principal, request_id: UUID, now: datetime, answer: str
) -> Request:
    """The limit stays; the answer says why."""
    with transaction.atomic():
        row = _open(principal, request_id)
        _answered(row, State.REFUSED, principal, now, answer)
    return row


def _open(principal: tenancy.Principal, request_id: UUID) -> Request:
    row = asking.request_of(principal=principal, request_id=request_id)
    held.check_approver(principal, row)
    # Of two answers at once the second waits here, and then finds the first.
    locked = Request.objects.select_for_update().filter(pk=row.pk, state=State.ASKED).first()
    if locked is None:
        row.refresh_from_db()
        raise Conflict(f"This request is {row.state} already.")
    return locked


def _answered(
    row: Request, state: str, principal: tenancy.Principal, now: datetime, answer: str
) -> None:
    row.state, row.answered_by, row.answered_at = state, principal.user_name, now
    row.answer = answer
    row.save()


def lapse(*, now: datetime) -> int:
    """Take back every grant whose term is over; returns how many.

    A limit that somebody set to something else meanwhile stays as they set it.
    """
    due = Request.objects.filter(state=State.GRANTED, until__lte=now)
    done = 0
    for key in list(due.order_by("until", "pk").values_list("pk", flat=True)):
        with transaction.atomic():
            row = Request.objects.select_for_update().filter(pk=key, state=State.GRANTED).first()
            if row is None:
                continue
            if held.value_of(row) == row.before | row.granted:
                held.set_to(row, row.before)
            else:
                _hand_down(row)
            row.state, row.lapsed_at = State.LAPSED, now
            row.save()
            done += 1
    return done


def _hand_down(row: Request) -> None:
    """A later grant that began from this one ends where this one began."""
    later = Request.objects.select_for_update().filter(
        state=State.GRANTED, limit_id=row.limit_id, answered_at__gt=row.answered_at
    )
    for other in later:
        if other.before == row.before | row.granted:
            other.before = row.before
            other.save(update_fields=["before"])
