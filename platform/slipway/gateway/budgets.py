"""Money before work: what a request may cost at most is set aside, and settled when it is known."""

from __future__ import annotations

import msgspec

from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Route, Snapshot
from slipway.gateway.money import Lease, Money
from slipway.metering.rules.reserver import Owner, Purse, Reserver, reserve, settle

#: Tokens that a chat template may put around what the client sent.
_AROUND = 256
#: Answers are taken to end there where neither request nor model says.
_LONGEST_ANSWER = 4096
#: Pairs of key and model of which it is remembered what is over them.
_REMEMBERED = 100_000
_REACHES = {"key": "this key", "project": "this project", "organisation": "the organisation",
            "lease": "this key, its project or its organisation"}  # fmt: skip


#: Per request, prompt token and answer's token, in 10⁻¹² of the currency; by model, for several may
#: be asked until one answers.
Prices = dict[str, tuple[int, int, int]]


class Aside(msgspec.Struct, frozen=True):
    """What was set aside for one request, and the prices it will be settled by."""

    purses: tuple[Purse, ...]
    amount: int
    prices: Prices


NOTHING = Aside((), 0, {})
_FREE = (0, 0, 0)
#: Who has a limit that such a request counts against, and what it costs.
_Over = tuple[tuple[Purse, ...], Prices]


class Budgets:
    """Counts against the hard limits of the snapshot; one of these per gateway process."""

    def __init__(self) -> None:
        self._reserver = Reserver()
        #: Where others spend of the same budgets.
        self.money: Money | None = None
        self._seen: Snapshot | None = None
        #: What is over a key's requests for a model, in that picture.
        self._known: dict[tuple[str, str], _Over] = {}

    def take(
        self,
        *,
        snapshot: Snapshot,
        key: Key,
        routes: tuple[Route, ...],
        prompt_bytes: int,
        longest: int | None,
        copies: int = 1,
    ) -> Aside | Refusal:
        """Set aside the most a request may cost, whichever of `routes` answers it. `longest` are
        the tokens of one of its `copies` answers, 0 if it does not say, None where it has none."""
        if not snapshot.budgets and self._seen is None:
            return NOTHING
        if snapshot is not self._seen:
            self._reserver.refresh(snapshot.budgets)
            self._seen = snapshot
            self._known.clear()
        # One route alone is nearly always what is asked, and the same one again.
        route = routes[0]
        name = (key.id, route.name if len(routes) == 1 else "")
        purses, prices = self._known.get(name) or self._over(snapshot, key, routes, name)
        if not purses:
            return NOTHING
        amount = _most(route, prices, prompt_bytes, longest, copies)
        for other in routes[1:]:
            amount = max(amount, _most(other, prices, prompt_bytes, longest, copies))
        full = reserve(purses, amount)
        if full is not None:
            for purse in purses:
                if isinstance(purse, Lease):
                    purse.short += amount
            return Refusal(
                429,
                f"This request may cost more than is left of the budget of {_REACHES[full[0]]}. "
                "Ask for fewer tokens, or have the budget raised.",
                type="insufficient_quota",
                code="insufficient_quota",
                lease=self.money is not None,
            )
        return Aside(purses, amount, prices)

    def settle(
        self, aside: Aside, *, model: str, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """`model` answered and used so much; call once for each request that was let in."""
        if aside is not NOTHING:
            one, prompt, answer = aside.prices.get(model, _FREE)
            cost = one + prompt_tokens * prompt + completion_tokens * answer
            settle(aside.purses, reserved=aside.amount, cost=cost)
            if self.money is not None:
                for purse in aside.purses:
                    if isinstance(purse, Lease):
                        self.money.spent(purse, cost)

    def _over(
        self, snapshot: Snapshot, key: Key, routes: tuple[Route, ...], name: tuple[str, str]
    ) -> _Over:
        """Whose limits a request counts against, if it costs anything; `name` is remembered."""
        prices: Prices = {}
        for route in routes:
            priced = snapshot.prices.get((key.organisation_id, route.name))
            if priced is not None:
                prices[route.name] = priced
        owners: tuple[Owner, ...] = (
            ("key", key.id),
            ("project", key.project_id),
            ("organisation", key.organisation_id),
        )
        over: tuple[Purse, ...] = self._reserver.over(owners) if prices else ()
        if over and self.money is not None:
            # The ledger knows all that is over a payer; here it is one lease.
            alone = key.id if owners[0] in snapshot.budgets else ""
            over = (self.money.lease((key.organisation_id, key.project_id, alone)),)
        found = (over, prices)
        if name[1] and len(self._known) < _REMEMBERED:
            self._known[name] = found
        return found


def _most(route: Route, prices: Prices, prompt_bytes: int, longest: int | None, copies: int) -> int:
    """What answers of this route may cost; no token is shorter than a byte, so never less."""
    one, prompt, answer = prices.get(route.name, _FREE)
    if longest == 0:
        longest = route.context_length or _LONGEST_ANSWER
    return one + (prompt_bytes + _AROUND * copies) * prompt + (longest or 0) * copies * answer
