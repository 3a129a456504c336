"""Terms and their shares: arithmetic without a database."""

from __future__ import annotations

import calendar
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

_CENT = Decimal("0.000001")


def start_of(begun_at: datetime, term: str, number: int) -> datetime:
    """When term `number` (from 0) begins: so many hours or months after the beginning, in UTC.

    A month later is the same day; where a month has no such day, its last one. Counted from the
    beginning, so that 31 January is followed by 28 February and that by 31 March.
    """
    begun_at = begun_at.astimezone(UTC)
    if term == "hour":
        return begun_at + timedelta(hours=number)
    year, month = divmod(begun_at.year * 12 + begun_at.month - 1 + number, 12)
    day = min(begun_at.day, calendar.monthrange(year, month + 1)[1])
    return begun_at.replace(year=year, month=month + 1, day=day)


def term_at(begun_at: datetime, term: str, after: int, now: datetime) -> int:
    """The first term from `after` on that is not over yet: whole terms that nobody had are not
    paid."""
    while start_of(begun_at, term, after + 1) <= now:
        after += 1
    return after


def share_left(start: datetime, end: datetime, now: datetime) -> Fraction:
    """The part of a term that is still to come, between 0 and 1."""
    tick = timedelta(microseconds=1)
    return Fraction((end - max(start, min(end, now))) // tick, (end - start) // tick)


def fee_of(fee: Decimal, units: int, share: Fraction = Fraction(1)) -> Decimal:
    """What units cost for a share of a term, to a millionth, rounded up."""
    # In fractions: a third that is rounded before it is multiplied costs a millionth too much.
    return math.ceil(Fraction(fee) * units * share / Fraction(_CENT)) * _CENT
