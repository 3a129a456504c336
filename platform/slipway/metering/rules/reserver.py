"""Hard limits in memory: set aside before a request, settle after, never above what is left.

No Django and no database: it is fed with what the ledger says now and then, and counts by itself
what has happened since. Amounts are whole numbers of 10⁻¹² of the currency, so sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: A limit's owner: reach (`organisation`, `project`, `key`) and id.
Owner = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """What the ledger says of one limit: what is left of it, and what was spent against it."""

    left: int
    spent: int


@dataclass(slots=True)
class _Count:
    """What this process knows beyond the ledger."""

    #: Set aside for requests that have not ended.
    held: int = 0
    #: Of requests that ended, not seen in the ledger yet.
    settled: int = 0
    #: The ledger's `spent` when last looked at; None before the first look.
    seen: int | None = None


@dataclass(slots=True)
class Reserver:
    """Lets a request in only where every limit over it has room for the most it may cost."""

    _limits: Mapping[Owner, Limit] = field(default_factory=dict)
    _counts: dict[Owner, _Count] = field(default_factory=dict)

    def refresh(self, limits: Mapping[Owner, Limit]) -> None:
        """Take in what the ledger says now.

        What it has spent more than at the last look is what we had settled ourselves; that much
        need not be counted any more.
        """
        for owner, limit in limits.items():
            count = self._counts.setdefault(owner, _Count())
            if count.seen is not None:
                # A new month begins at nothing: then there is nothing of ours in it either.
                grown = max(0, limit.spent - count.seen)
                count.settled = max(0, count.settled - grown)
            count.seen = limit.spent
        for owner in [o for o, c in self._counts.items() if o not in limits and not c.held]:
            del self._counts[owner]
        self._limits = limits

    def reserve(self, owners: Iterable[Owner], amount: int) -> Owner | None:
        """Set `amount` aside with every owner that has a limit; or the owner that has no room."""
        limited = [owner for owner in owners if owner in self._limits]
        for owner in limited:
            count = self._counts[owner]
            if count.held + count.settled + amount > self._limits[owner].left:
                return owner
        for owner in limited:
            self._counts[owner].held += amount
        return None

    def settle(self, owners: Iterable[Owner], *, reserved: int, cost: int) -> None:
        """The request ended and cost this much; call once for each that was let in."""
        for owner in owners:
            count = self._counts.get(owner)
            if count is not None and count.held >= reserved:
                count.held -= reserved
                count.settled += cost

    def left(self, owner: Owner) -> int | None:
        """What is left of an owner's limit now; None where there is none."""
        limit = self._limits.get(owner)
        if limit is None:
            return None
        count = self._counts[owner]
        return limit.left - count.held - count.settled
