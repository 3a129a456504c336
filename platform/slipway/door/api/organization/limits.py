"""/v1/organization: rate limits of projects, and what organisation and projects may spend."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from django.conf import settings
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.organization.base import OrganizationView
from slipway.door.services import words
from slipway.door.services.words import Bad
from slipway.limits import services as limits
from slipway.metering import services as metering
from slipway.tenancy.services import Level

_LIMIT = "rl-"
#: Stands for all models together, and for a rate that is not limited.
_ALL_MODELS, _UNLIMITED = "*", 1_000_000_000
_Rate = Annotated[int, msgspec.Meta(ge=1, le=_UNLIMITED)]


def _shown(limit: limits.Limit) -> dict[str, Any]:
    model = limit.model or _ALL_MODELS
    return {
        "id": f"{_LIMIT}{model}",
        "object": "project.rate_limit",
        "model": model,
        "max_requests_per_1_minute": limit.requests_per_minute or _UNLIMITED,
        "max_tokens_per_1_minute": limit.tokens_per_minute or _UNLIMITED,
        "x_requests_at_once": limit.at_once,
    }


class RateLimitsView(OrganizationView):
    """Limits of all keys of the project together; a model that is not listed has none."""

    def get(self, request: Request, project_id: str) -> Response:
        found = limits.limits_of(project_id=self.project(project_id))
        return Response(paging.page_of([_shown(limit) for limit in found], request, default=100))


class _Rates(words.Request):
    max_requests_per_1_minute: _Rate | None = None
    max_tokens_per_1_minute: _Rate | None = None


class RateLimitView(OrganizationView):
    def post(self, request: Request, project_id: str, limit_id: str) -> Response:
        """Set the rates that are named; the others stay. 1000000000 lifts one."""
        place, wish = self.place(project_id), self.body(_Rates)
        model = limit_id.removeprefix(_LIMIT)
        if not limit_id.startswith(_LIMIT) or not 1 <= len(model) <= 256:
            raise words.no_such("rate limit", limit_id, param="rate_limit_id")
        model = "" if model == _ALL_MODELS else model
        old = {limit.model: limit for limit in limits.limits_of(project_id=place.project_id)}
        was = old.get(model)
        requests, tokens = (
            given if given is not None else before
            for given, before in (
                (wish.max_requests_per_1_minute, was.requests_per_minute if was else None),
                (wish.max_tokens_per_1_minute, was.tokens_per_minute if was else None),
            )
        )
        wished = limits.Limit(
            project_id=place.project_id,
            key_id=None,
            model=model,
            requests_per_minute=None if requests == _UNLIMITED else requests,
            tokens_per_minute=None if tokens == _UNLIMITED else tokens,
            at_once=was.at_once if was else None,
        )
        if wished.requests_per_minute or wished.tokens_per_minute or wished.at_once:
            limits.set_limit(
                maker=place,
                model=model,
                requests_per_minute=wished.requests_per_minute,
                tokens_per_minute=wished.tokens_per_minute,
                at_once=wished.at_once,
            )
        else:
            limits.lift_all(maker=place, model=model)
        return Response(_shown(wished))


class _Spend(words.Request):
    threshold_amount: Annotated[int, msgspec.Meta(ge=0, le=10**15)]
    currency: str
    interval: str

    def __post_init__(self) -> None:
        if self.interval != "month":
            raise ValueError("interval must be 'month'")


class _SpendView(OrganizationView):
    """A budget per month that work has to fit in, in hundredths of the installation's currency."""

    kind = "organization.spend_limit"

    def reach(self, **kwargs: str) -> dict[str, Any]:
        return {
            "organisation_id": self.organisation_id,
            "reach": "organisation",
            "target_id": self.organisation_id,
        }

    def get(self, request: Request, **kwargs: str) -> Response:
        found = metering.monthly_limit(**self.reach(**kwargs), now=timezone.now())
        if found is None:
            raise words.Gone("There is no spend limit; POST sets one.", param=None)
        limit, left = found
        return Response(
            {
                "object": self.kind,
                "threshold_amount": int(limit * 100),
                "currency": settings.CURRENCY,
                "interval": "month",
                "enforcement": {"status": "inactive" if left > 0 else "enforcing"},
            }
        )

    def post(self, request: Request, **kwargs: str) -> Response:
        wish = self.body(_Spend)
        self.principal.check_reach("money", Level.FULL)
        if wish.currency.upper() != settings.CURRENCY.upper():
            raise Bad(f"Money is counted in {settings.CURRENCY} here.", param="currency")
        amount = Decimal(wish.threshold_amount) / 100
        metering.set_monthly_limit(**self.reach(**kwargs), limit=amount)
        return self.get(request, **kwargs)

    def delete(self, request: Request, **kwargs: str) -> Response:
        self.principal.check_reach("money", Level.FULL)
        if not metering.lift_monthly_limit(**self.reach(**kwargs)):
            raise words.Gone("There is no spend limit.", param=None)
        return Response({"object": f"{self.kind}.deleted", "deleted": True})


class SpendView(_SpendView):
    pass


class ProjectSpendView(_SpendView):
    kind = "project.spend_limit"

    def reach(self, **kwargs: str) -> dict[str, Any]:
        return {
            "organisation_id": self.organisation_id,
            "reach": "project",
            "target_id": self.project(kwargs["project_id"]),
        }
