"""Which limits are over one's work, how much of each is used, and when it will bite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from slipway.limits import services as limits
from slipway.metering import services as metering
from slipway.plans import services as plans
from slipway.quotas.models import Request
from slipway.quotas.services import held
from slipway.tenancy import services as tenancy

#: How far back the pace is measured that says when a budget will be used up.
_PACE_OVER = timedelta(days=1)
#: Beside the kinds that more can be asked of: limits of the house.
HOUSE = "house"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One limit, of a kind of Request or HOUSE.

    `used` is the share of it that is spent or set aside, null for rates.
    """

    kind: str
    limit_id: UUID
    about: str
    scope: Mapping[str, str]
    fields: Mapping[str, Any]
    used: float | None
    left: Decimal | None
    #: When it is used up at the pace of the last day; null if not within its period.
    bites_at: datetime | None


def bounds(*, principal: tenancy.Principal, now: datetime) -> list[Bound]:
    """Every limit over this project or the key that asks, the one that bites first in front."""
    found = [_budget(principal, standing, now) for standing in _standings(principal, now)]
    found.sort(key=lambda bound: (bound.bites_at or datetime.max.replace(tzinfo=now.tzinfo),
                                  -(bound.used or 0.0), str(bound.limit_id)))  # fmt: skip
    for limit_id in limits.ids_over(project_id=principal.project_id, key_id=principal.key_id):
        limit = held.about(principal, Request.Kind.RATE, limit_id)
        found.append(
            Bound(kind="rate", limit_id=limit_id, about=limit.words, scope=limit.scope,
                  fields=limit.fields, used=None, left=None, bites_at=None)
        )  # fmt: skip
    return [*found, *_of_house(principal)]


def _of_house(principal: tenancy.Principal) -> Iterator[Bound]:
    """What the house lets the project ask; more of it is taken as a plan, not asked for."""
    for (_, model), most in plans.rates(project_id=principal.project_id).items():
        fields = {name: getattr(most, name) for name in ("requests_per_minute",
                                                         "tokens_per_minute")}  # fmt: skip
        fields = {name: rate for name, rate in fields.items() if rate is not None}
        yield Bound(
            kind=HOUSE, limit_id=most.plan_id, scope={"reach": "house", "model": model},
            about=f"what the house lets a project ask{f' of {model}' if model else ''}",
            fields=fields, used=None, left=None, bites_at=None,
        )  # fmt: skip


def _standings(principal: tenancy.Principal, now: datetime) -> list[metering.Standing]:
    return metering.standings_over(
        organisation_id=principal.organisation_id,
        project_id=principal.project_id,
        key_id=principal.key_id,
        now=now,
    )


def _budget(principal: tenancy.Principal, standing: metering.Standing, now: datetime) -> Bound:
    budget, left = standing.budget, standing.left
    limit = held.about(principal, Request.Kind.BUDGET, budget.pk)
    whole = budget.limit
    return Bound(
        kind="budget",
        limit_id=budget.pk,
        about=limit.words,
        scope=limit.scope,
        fields=limit.fields,
        used=round(float((whole - left) / whole), 4) if whole else 1.0,
        left=left,
        bites_at=_bites_at(standing, now),
    )


def _bites_at(standing: metering.Standing, now: datetime) -> datetime | None:
    if standing.left <= 0:
        return now
    lately = metering.spent_against(standing.budget, since=now - _PACE_OVER)
    if lately <= 0:
        return None
    wait = float(standing.left / lately) * _PACE_OVER
    return now + wait if wait < timedelta(days=365) and _within(standing, now + wait) else None


def _within(standing: metering.Standing, at: datetime) -> bool:
    """Whether the budget's present period lasts till then."""
    return standing.since is None or (at.year, at.month) == (
        standing.since.year,
        standing.since.month,
    )
