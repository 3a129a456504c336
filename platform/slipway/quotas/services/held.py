"""The two sorts of limits that more can be asked of, by one face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.conf import settings

from slipway.core.errors import Detail, Invalid, NotFound
from slipway.limits import services as limits
from slipway.metering import services as metering
from slipway.quotas.models import Request
from slipway.tenancy import services as tenancy

_MOST_MONEY, _MOST_RATE, _CENT = Decimal(10**9) - 1, 10**9, Decimal("0.000001")


@dataclass(frozen=True, kw_only=True)
class Held:
    """One limit: in words, what it is a limit of, and the fields that can be asked for more of."""

    words: str
    #: `{"reach": "project", "period": "month"}` or `{"reach": "key", "model": "name or empty"}`.
    scope: dict[str, str]
    fields: dict[str, Any]


def about(principal: tenancy.Principal, kind: str, limit_id: UUID) -> Held:
    """A limit over the principal's work; NotFound if there is none."""
    if kind == Request.Kind.BUDGET:
        budget = metering.budget_over(
            organisation_id=principal.organisation_id,
            project_id=principal.project_id,
            budget_id=limit_id,
        )
        per = " a month" if budget.period == "month" else ""
        text = f"the {budget.reach}'s budget of {budget.limit:f} {settings.CURRENCY}{per}"
        scope = {"reach": str(budget.reach), "period": str(budget.period)}
        return Held(words=text, scope=scope, fields={"limit": f"{budget.limit:f}"})
    row = limits.limit(maker=principal, limit_id=limit_id)
    fields = {name: getattr(row, name) for name in limits.RATES if getattr(row, name) is not None}
    said = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in fields.items())
    whose = "key" if row.key_id else "project"
    of = "of a key" if row.key_id else "of the project"
    return Held(
        words=f"the rate {of}{f' for {row.model}' if row.model else ''} ({said})",
        scope={"reach": whose, "model": row.model},
        fields=fields,
    )


def checked(now: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted of a limit's fields, each more than it is now; Invalid otherwise."""
    if not wanted:
        raise Invalid(
            "Say what is wanted.",
            Detail(field="wanted", rule="at least one of the limit's fields", fix=", ".join(now)),
        )
    return {name: _more(now, name, value) for name, value in wanted.items()}


def _more(now: Mapping[str, Any], name: str, value: Any) -> Any:
    if name not in now:
        raise Invalid(
            f"This limit has no {name[:60]}.",
            Detail(field=f"wanted.{name[:60]}", rule="a field of the limit", fix=", ".join(now)),
        )
    money = isinstance(now[name], str)
    try:
        number = Decimal(str(value)) if money else Decimal(int(value))
        good = number.is_finite() and number == number.quantize(_CENT)
    except (InvalidOperation, ValueError, TypeError):
        number, good = Decimal(0), False
    most = _MOST_MONEY if money else _MOST_RATE
    if not good or not Decimal(now[name]) < number <= most:
        raise Invalid(
            f"wanted.{name} must be a number above {now[name]} and at most {most}.",
            Detail(field=f"wanted.{name}", rule=f"{now[name]} < … ≤ {most}", value=str(value)[:60],
                   fix="Ask for more than there is."),
        )  # fmt: skip
    # As the limit itself is written, so that what was granted can be told from what was set.
    return f"{number.quantize(_CENT):f}" if money else int(number)


def set_to(row: Request, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Change the limit; returns what its fields were. Empty where it is gone or not limited so."""
    if row.kind == Request.Kind.BUDGET:
        was = metering.set_limit_of(budget_id=row.limit_id, limit=Decimal(fields["limit"]))
        return {"limit": f"{was:f}"} if was is not None else {}
    return limits.set_rates_of(limit_id=row.limit_id, rates=fields)


def value_of(row: Request) -> dict[str, Any]:
    """The limit's fields as they are now; empty where it is gone."""
    if row.kind == Request.Kind.BUDGET:
        now = metering.limit_of(budget_id=row.limit_id)
        return {"limit": f"{now:f}"} if now is not None else {}
    return limits.rates_of(limit_id=row.limit_id)


def check_approver(principal: tenancy.Principal, row: Request) -> None:
    """Whoever could set the limit by themselves may answer; NotFound or Forbidden otherwise."""
    level = tenancy.Level.FULL
    if row.organisation_id != principal.organisation_id:
        raise NotFound("There is no such request here.")
    if principal.allows("organisation", level):
        return
    if row.project_id != principal.project_id:
        raise NotFound("There is no such request here.")
    if row.kind == Request.Kind.RATE:
        principal.check_reach("access", level)
        return
    if metering.is_of_organisation(budget_id=row.limit_id):
        principal.check_reach("organisation", level)
    principal.check_reach("money", level)
