"""What gateways hold of the budgets, so that they need not ask before each request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_UP, Decimal
from uuid import UUID

from django.db import transaction

from slipway.metering.models import Budget, Credit, Reservation
from slipway.metering.services import budgets, spend

#: What a gateway used of its lease is in the ledger by then, or it was never written up.
LEASE_SECONDS = 120.0
_SMALLEST = Decimal("0.000001")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one gateway holds for requests of one payer, and wants to, in 10⁻¹² of the currency."""

    organisation_id: str
    project_id: str
    #: Empty where the key has no budget of its own.
    key_id: str
    #: Without what the ledger has taken in of it.
    has: int
    wants: int


def lease(*, gateway: str, claim: Claim, now: datetime) -> int:
    """Hold money for requests that a gateway will let in by itself; returns how much it holds now.

    That is less than claimed where budgets or credit leave no more. A gateway that is not heard
    for `LEASE_SECONDS` holds nothing any more.
    """
    subject = f"gateway {gateway} {claim.project_id} {claim.key_id}"
    has, wanted = (
        (Decimal(amount) / 10**12).quantize(_SMALLEST, ROUND_UP)
        for amount in (claim.has, claim.wants)
    )
    with transaction.atomic():
        over = budgets.budgets_over(
            organisation_id=UUID(claim.organisation_id), project_id=UUID(claim.project_id),
            key_id=UUID(claim.key_id) if claim.key_id else None,
        ).filter(hard=True)  # fmt: skip
        limits = list(over.select_for_update().order_by("pk"))
        credit = Credit.objects.select_for_update().filter(organisation_id=claim.organisation_id)
        paid_ahead = bool(list(credit))
        own = Reservation.objects.filter(subject=subject).first()
        held = own.amount if own is not None else Decimal(0)
        rooms = [budgets.standing(budget, now).left for budget in limits]
        if paid_ahead:
            rooms.append(budgets.balance(organisation_id=UUID(claim.organisation_id)))
        if wanted > has and rooms:
            # What is left may be below nothing: what was used is counted twice until it is given
            # up here.
            wanted = min(wanted, held + min(rooms).quantize(_SMALLEST, ROUND_FLOOR))
            wanted = max(wanted, has)
        if wanted:
            Reservation.objects.update_or_create(
                subject=subject,
                defaults={
                    "released_at": None,
                    "organisation_id": claim.organisation_id,
                    "project_id": claim.project_id,
                    "key_id": claim.key_id or None,
                    "amount": wanted,
                    "created_at": now,
                },
            )
        else:
            Reservation.objects.filter(subject=subject).delete()
    return int(wanted * 10**12)


def forget_gone_gateways(*, now: datetime) -> None:
    """Let go of what gateways held that are not heard any more."""
    Reservation.objects.filter(
        subject__startswith="gateway ", created_at__lt=now - timedelta(seconds=LEASE_SECONDS)
    ).delete()


@dataclass(frozen=True, kw_only=True)
class BudgetFact:
    """A hard limit for the gateway: whose it is, and what is left, in 10⁻¹² of the currency."""

    reach: str
    target_id: UUID
    left: int
    #: What the ledger has spent against it, so that the gateway knows which of its own it counts.
    spent: int


def budget_facts(*, now: datetime) -> Iterator[BudgetFact]:
    """Every hard limit in force, credit included, for the gateway's snapshot."""
    for budget in Budget.objects.filter(hard=True).order_by("pk"):
        seen = budgets.standing(budget, now)
        yield BudgetFact(
            reach=budget.reach,
            target_id=budget.target_id,
            left=int(seen.left * 10**12),
            spent=int(seen.spent * 10**12),
        )
    prepaid = Credit.objects.order_by().values_list("organisation_id", flat=True).distinct()
    for organisation_id in prepaid:
        yield BudgetFact(
            reach=Budget.Reach.ORGANISATION,
            target_id=organisation_id,
            left=int(budgets.balance(organisation_id=organisation_id) * 10**12),
            spent=int(spend.spent(organisation_id=organisation_id, since=None) * 10**12),
        )
