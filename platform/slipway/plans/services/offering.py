"""The house's plans: offered, shown, and offered no more."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.plans.models import Plan

#: What no amount of money in the database reaches.
_MOST = 10**9


def offer(*, now: datetime, **terms: Any) -> Plan:
    """A new plan, on terms named like the fields of Plan.

    One of everybody takes the place of the one before it for that model. Invalid where it gives
    nothing, pays replicas of no name, costs more than an amount can be, or one of everybody asks
    for a fee or pays for replicas; Conflict where one of that name is offered already.
    """
    gives = ("requests_per_minute", "tokens_per_minute", "replicas")
    if not any(terms.get(name) for name in gives):
        raise Invalid(
            "A plan must give something.",
            Detail(field=gives[0], rule=f"one of {', '.join(gives)} is above 0",
                   fix="Say what one unit gives."),
        )  # fmt: skip
    if terms.get("everybody"):
        _check_of_everybody(terms)
    if terms.get("replicas") and not terms.get("model"):
        raise Invalid(
            "Replicas are paid by the name of their deployments.",
            Detail(field="model", rule="given with replicas", value="", fix="a deployment's name"),
        )
    if terms["fee"] * terms.get("most_units", 1) >= _MOST:
        raise Invalid(
            f"All units together would cost more than the books can hold: {_MOST} a term.",
            Detail(field="fee", rule=f"times most_units less than {_MOST}", value=str(terms["fee"]),
                   fix="a lower fee or fewer units"),
        )  # fmt: skip
    try:
        with transaction.atomic():
            if terms.get("everybody"):
                before = offered().filter(everybody=True, model=terms.get("model", ""))
                before.update(offered=False)
            return Plan.objects.create(created_at=now, **terms)
    except IntegrityError as error:
        raise Conflict(
            f"A plan named {terms['name']} is offered already; withdraw it first.",
            Detail(field="name", rule="once among the plans on offer", value=terms["name"]),
        ) from error


def _check_of_everybody(terms: dict[str, Any]) -> None:
    fixed = {"fee": Decimal(0), "replicas": 0, "most_units": 1}
    for name, value in fixed.items():
        if terms.get(name, value) != value:
            raise Invalid(
                f"What everybody has costs nothing, once, and only limits rates: {name}.",
                Detail(field=name, rule=f"{value} for a plan of everybody",
                       value=str(terms[name]), fix=str(value)),
            )  # fmt: skip


def offered() -> Any:
    """Plans that one may take, and what everybody has; a query."""
    return Plan.objects.filter(offered=True)


def withdraw(*, plan_id: UUID) -> Plan:
    """Offer it no more: nobody takes it anew, and who has it keeps it to the end of the term."""
    row: Plan | None = offered().filter(pk=plan_id).first()
    if row is None:
        raise NotFound("There is no such plan on offer.")
    row.offered = False
    row.save(update_fields=["offered"])
    return row
