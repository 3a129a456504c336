"""Budgets and credit: money is set aside before work starts, and let go when its cost is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, Sum

from slipway.core.errors import Conflict, Detail, NotFound, Refused
from slipway.metering.models import Alert, Budget, Credit, Reservation
from slipway.metering.services import spend


class BudgetSpent(Refused):
    """The work would cost more than what is left."""

    status = 429
    code = "budget_exceeded"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a budget stands: spent and set aside in its present period, and what is left."""

    budget: Budget
    since: datetime | None
    spent: Decimal
    reserved: Decimal

    @property
    def left(self) -> Decimal:
        return self.budget.limit - self.spent - self.reserved


def period_start(period: str, now: datetime) -> datetime | None:
    """First moment of the period that `now` lies in (UTC); None for a budget without periods."""
    if period == Budget.Period.TOTAL:
        return None
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def standing(budget: Budget, now: datetime) -> Standing:
    since = period_start(budget.period, now)
    reach, target = budget.reach, budget.target_id
    used = spend.spent(
        organisation_id=budget.organisation_id,
        since=since,
        project_id=target if reach == Budget.Reach.PROJECT else None,
        key_id=target if reach == Budget.Reach.KEY else None,
    )
    held = Reservation.objects.filter(released_at=None, **{f"{reach}_id": target})
    reserved = held.aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
    return Standing(budget=budget, since=since, spent=used, reserved=reserved)


def budgets_over(*, organisation_id: UUID, project_id: UUID, key_id: UUID | None):  # type: ignore[no-untyped-def]  # Django's queryset types are not installed
    """Budgets that work of this project and key has to fit in, as a query."""
    reach = Budget.Reach
    own = Q(reach=reach.ORGANISATION, target_id=organisation_id) | Q(
        reach=reach.PROJECT, target_id=project_id
    )
    if key_id is not None:
        own |= Q(reach=reach.KEY, target_id=key_id)
    return Budget.objects.filter(own, organisation_id=organisation_id)


def reserve(
    *,
    subject: str,
    organisation_id: UUID,
    project_id: UUID,
    amount: Decimal,
    now: datetime,
    key_id: UUID | None = None,
) -> None:
    """Set money aside for work about to be accepted, or raise BudgetSpent.

    Call it in the transaction that accepts the work. Of many at once those pass that fit.
    """
    with transaction.atomic():
        over = budgets_over(
            organisation_id=organisation_id, project_id=project_id, key_id=key_id
        ).filter(hard=True)
        # Locked together and in one order: who comes second counts what the first set aside.
        for budget in list(over.select_for_update().order_by("pk")):
            seen = standing(budget, now)
            if amount > seen.left:
                raise _too_much(budget, amount, seen.left)
        # The credits are the lock of an organisation that pays in advance.
        if list(Credit.objects.select_for_update().filter(organisation_id=organisation_id)):
            left = balance(organisation_id=organisation_id)
            if amount > left:
                raise BudgetSpent(
                    f"This would cost up to {amount.normalize():f} {settings.CURRENCY}, and "
                    f"{left.normalize():f} of the credit is left. Ask for a top-up.",
                    Detail(field="credit", rule=f"at most {left}", value=str(amount)),
                )
        Reservation.objects.update_or_create(
            subject=subject,
            defaults={
                "released_at": None,
                "organisation_id": organisation_id,
                "project_id": project_id,
                "key_id": key_id,
                "amount": amount,
                "created_at": now,
            },
        )


def _too_much(budget: Budget, amount: Decimal, left: Decimal) -> BudgetSpent:
    per = " a month" if budget.period == Budget.Period.MONTH else ""
    rest = max(left, Decimal(0)).normalize()
    return BudgetSpent(
        f"This would cost up to {amount.normalize():f} {settings.CURRENCY}, and {rest:f} is "
        f"left of the {budget.reach}'s budget of {budget.limit.normalize():f}{per}. "
        "Ask for less, or have the budget raised.",
        Detail(
            field=f"budget of the {budget.reach}",
            rule=f"at most {left} {settings.CURRENCY} more",
            value=str(amount),
            fix=f"/api/v1/budgets/{budget.pk}",
        ),
    )


def release(*, subject: str, now: datetime) -> None:
    """Let go of what was set aside: its cost is in the ledger now. Twice is once."""
    Reservation.objects.filter(subject=subject, released_at=None).update(released_at=now)


def balance(*, organisation_id: UUID) -> Decimal:
    """What is left of the credit: paid in, less spent and set aside."""
    paid = Credit.objects.filter(organisation_id=organisation_id)
    held = Reservation.objects.filter(organisation_id=organisation_id, released_at=None)
    zero = Decimal(0)
    return (
        (paid.aggregate(sum=Sum("amount"))["sum"] or zero)
        - spend.spent(organisation_id=organisation_id, since=None)
        - (held.aggregate(sum=Sum("amount"))["sum"] or zero)
    )


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
        seen = standing(budget, now)
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
            left=int(balance(organisation_id=organisation_id) * 10**12),
            spent=int(spend.spent(organisation_id=organisation_id, since=None) * 10**12),
        )


def set_budget(
    *,
    organisation_id: UUID,
    reach: str,
    target_id: UUID,
    period: str,
    limit: Decimal,
    hard: bool,
    alert_at: list[int],
) -> Budget:
    """A new budget; Conflict if the target has one for that period already."""
    try:
        with transaction.atomic():
            return Budget.objects.create(
                organisation_id=organisation_id,
                reach=reach,
                target_id=target_id,
                period=period,
                limit=limit,
                hard=hard,
                alert_at=sorted(set(alert_at)),
            )
    except IntegrityError as error:
        raise Conflict("There is a budget for that already; change that one.") from error


def budget_of(*, organisation_id: UUID, budget_id: UUID) -> Budget:
    row = Budget.objects.filter(pk=budget_id, organisation_id=organisation_id).first()
    if row is None:
        raise NotFound("There is no such budget.")
    return row


def monthly_limit(
    *, organisation_id: UUID, reach: str, target_id: UUID, now: datetime
) -> tuple[Decimal, Decimal] | None:
    """The hard budget per month of an organisation or project, and what is left of it."""
    row = _monthly(organisation_id, reach, target_id).first()
    return (row.limit, standing(row, now).left) if row is not None else None


def set_monthly_limit(
    *, organisation_id: UUID, reach: str, target_id: UUID, limit: Decimal
) -> None:
    """A hard budget per month, in place of the one that was there; its alerts stay."""
    Budget.objects.update_or_create(
        organisation_id=organisation_id,
        reach=reach,
        target_id=target_id,
        period=Budget.Period.MONTH,
        defaults={"limit": limit, "hard": True},
    )


def lift_monthly_limit(*, organisation_id: UUID, reach: str, target_id: UUID) -> bool:
    """Whether there was one."""
    return bool(_monthly(organisation_id, reach, target_id).delete()[0])


def _monthly(organisation_id: UUID, reach: str, target_id: UUID):  # type: ignore[no-untyped-def]  # Django's queryset types are not installed
    return Budget.objects.filter(
        organisation_id=organisation_id,
        reach=reach,
        target_id=target_id,
        period=Budget.Period.MONTH,
        hard=True,
    )


def raise_alerts(*, now: datetime) -> list[Alert]:
    """Note every percentage that a budget has newly reached, once per period."""
    raised = []
    for budget in Budget.objects.exclude(alert_at=[]).order_by("pk"):
        seen = standing(budget, now)
        start = seen.since or budget.created_at
        for percent in budget.alert_at:
            if seen.spent * 100 >= budget.limit * percent:
                alert, new = Alert.objects.get_or_create(
                    budget=budget,
                    percent=percent,
                    period_start=start,
                    defaults={"spent": seen.spent, "created_at": now},
                )
                if new:
                    raised.append(alert)
    return raised
