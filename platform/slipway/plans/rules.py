"""Terms and their shares: arithmetic without a database."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Decimal

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


def share_left(start: datetime, end: datetime, now: datetime) -> Decimal:
    """The part of a term that is still to come, between 0 and 1."""
    left = (end - max(start, min(end, now))) / timedelta(microseconds=1)
    return Decimal(round(left)) / Decimal(round((end - start) / timedelta(microseconds=1)))


def fee_of(fee: Decimal, units: int, share: Decimal = Decimal(1)) -> Decimal:
    """What units cost for a share of a term, to a millionth, rounded up."""
    return (fee * units * share).quantize(_CENT, rounding=ROUND_UP)
