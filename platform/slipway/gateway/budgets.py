"""Money before work: what a request may cost at most is set aside, and settled when it is known."""

from __future__ import annotations

import msgspec

from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Key, Route, Snapshot
from slipway.metering.rules.reserver import Owner, Reserver

#: Tokens that a chat template may put around what the client sent.
_AROUND = 256
#: Answers are taken to end there where neither request nor model says.
_LONGEST_ANSWER = 4096
_REACHES = {"key": "this key", "project": "this project", "organisation": "the organisation"}


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """What was set aside for one request, and the prices it will be settled by."""

    owners: tuple[Owner, ...]
    amount: int
    #: Per request, prompt token and answer's token, in 10⁻¹² of the currency; by model, for
    #: several may be asked until one answers.
    prices: dict[str, tuple[int, int, int]]


NOTHING = Aside(owners=(), amount=0, prices={})


class Budgets:
    """Counts against the hard limits of the snapshot; one of these per gateway process."""

    def __init__(self) -> None:
        self._reserver = Reserver()
        self._seen: object = None

    def take(
        self,
        *,
        snapshot: Snapshot,
        key: Key,
        routes: tuple[Route, ...],
        prompt_bytes: int,
        answers: int | None,
    ) -> Aside | Refusal:
        """Set aside the most a request may cost, whichever of `routes` answers it. `answers` are
        the tokens it asks for, 0 if it does not say, None where the answer has none."""
        if not snapshot.budgets and self._seen is None:
            return NOTHING
        if snapshot.budgets is not self._seen:
            self._reserver.refresh(snapshot.budgets)
            self._seen = snapshot.budgets
        prices, amount = {}, 0
        for route in routes:
            priced = snapshot.prices.get((key.organisation_id, route.name))
            if priced is None:
                continue
            one, prompt, answer = prices[route.name] = priced
            # No token is shorter than a byte, so this is never too little.
            longest = 0
            if answers is not None:
                longest = answers or route.context_length or _LONGEST_ANSWER
            most = one + (prompt_bytes + _AROUND) * prompt + longest * answer
            amount = max(amount, most)
        if not prices:
            return NOTHING
        owners: tuple[Owner, ...] = (
            ("key", key.id),
            ("project", key.project_id),
            ("organisation", key.organisation_id),
        )
        full = self._reserver.reserve(owners, amount)
        if full is not None:
            return Refusal(
                429,
                f"This request may cost more than is left of the budget of {_REACHES[full[0]]}. "
                "Ask for fewer tokens, or have the budget raised.",
                type="insufficient_quota",
                code="budget_exceeded",
            )
        return Aside(owners=owners, amount=amount, prices=prices)

    def settle(
        self, aside: Aside, *, model: str, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """`model` answered and used so much; call once for each request that was let in."""
        if aside.owners:
            one, prompt, answer = aside.prices.get(model, (0, 0, 0))
            cost = one + prompt_tokens * prompt + completion_tokens * answer
            self._reserver.settle(aside.owners, reserved=aside.amount, cost=cost)
