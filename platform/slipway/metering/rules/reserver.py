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


@dataclass(slots=True, eq=False)
class Purse:
    """What one limit has left, as far as this process knows."""

    owner: Owner
    #: By the ledger.
    left: int = 0
    #: Set aside for requests that have not ended.
    held: int = 0
    #: Of requests that ended, not seen in the ledger yet.
    settled: int = 0
    #: The ledger's `spent` when last looked at; None before the first look.
    seen: int | None = None


@dataclass(slots=True)
class Reserver:
    """Lets a request in only where every limit over it has room for the most it may cost."""

    _purses: dict[Owner, Purse] = field(default_factory=dict)
    _limited: frozenset[Owner] = frozenset()

    def refresh(self, limits: Mapping[Owner, Limit]) -> None:
        """Take in what the ledger says now.

        What it has spent more than at the last look is what we had settled ourselves; that much
        need not be counted any more.
        """
        for owner, limit in limits.items():
            purse = self._purses.setdefault(owner, Purse(owner))
            if purse.seen is not None:
                # A new month begins at nothing: then there is nothing of ours in it either.
                grown = max(0, limit.spent - purse.seen)
                purse.settled = max(0, purse.settled - grown)
            purse.seen, purse.left = limit.spent, limit.left
        for owner in [o for o, p in self._purses.items() if o not in limits and not p.held]:
            del self._purses[owner]
        self._limited = frozenset(limits)

    def over(self, owners: Iterable[Owner]) -> tuple[Purse, ...]:
        """The purses of those that have a limit; good until the next `refresh`."""
        return tuple(self._purses[owner] for owner in owners if owner in self._limited)

    def left(self, owner: Owner) -> int | None:
        """What is left of an owner's limit now; None where there is none."""
        for purse in self.over((owner,)):
            return purse.left - purse.held - purse.settled
        return None


def reserve(purses: Iterable[Purse], amount: int) -> Owner | None:
    """Set `amount` aside in each; or the owner of the one that has no room."""
    for purse in purses:
        if purse.held + purse.settled + amount > purse.left:
            return purse.owner
    for purse in purses:
        purse.held += amount
    return None


def settle(purses: Iterable[Purse], *, reserved: int, cost: int) -> None:
    """The request ended and cost this much; call once for each that was let in."""
    for purse in purses:
        purse.held -= reserved
        purse.settled += cost
