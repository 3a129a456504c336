"""Budgets and credit: money is set aside before work starts, and let go when its cost is known."""

from __future__ import annotations

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
from slipway.tenancy import services as tenancy


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
    used = spent_against(budget, since=since)
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
        check_fits(
            organisation_id=organisation_id, project_id=project_id, key_id=key_id, amount=amount,
            now=now,
        )  # fmt: skip
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


def check_fits(
    *,
    organisation_id: UUID,
    project_id: UUID,
    key_id: UUID | None,
    amount: Decimal,
    now: datetime,
) -> None:
    """BudgetSpent unless that much is left; holds it so until the end of the transaction."""
    with transaction.atomic():
        for budget, left in _rooms(organisation_id, project_id, key_id, now):
            if amount > left:
                raise _too_much(budget, amount, left)


def limited(*, organisation_id: UUID, project_id: UUID, key_id: UUID | None) -> bool:
    """Whether any budget or credit bounds what work of this project and key may cost."""
    over = budgets_over(organisation_id=organisation_id, project_id=project_id, key_id=key_id)
    paid = Credit.objects.filter(organisation_id=organisation_id)
    return bool(over.filter(hard=True).exists() or paid.exists())


def _rooms(
    organisation_id: UUID, project_id: UUID, key_id: UUID | None, now: datetime
) -> list[tuple[Budget | None, Decimal]]:
    """Every hard limit over such work with what is left of it, locked; None stands for credit."""
    over = budgets_over(
        organisation_id=organisation_id, project_id=project_id, key_id=key_id
    ).filter(hard=True)
    # Locked together and in one order: who comes second counts what the first set aside.
    found: list[tuple[Budget | None, Decimal]] = [
        (budget, standing(budget, now).left)
        for budget in list(over.select_for_update().order_by("pk"))
    ]
    # The credits are the lock of an organisation that pays in advance.
    if list(Credit.objects.select_for_update().filter(organisation_id=organisation_id)):
        found.append((None, balance(organisation_id=organisation_id)))
    return found


def set_aside(*, subject: str) -> Decimal:
    """How much is set aside for a piece of work."""
    row = Reservation.objects.filter(subject=subject, released_at=None).first()
    return row.amount if row is not None else Decimal(0)


def keep_ahead(*, subject: str, amount: Decimal, now: datetime) -> BudgetSpent | None:
    """See that at least `amount` is set aside for work under way; the refusal if it cannot be.

    Where the limits leave less, all that they leave is set aside: what was held shrinks where one
    was lowered since. Nothing changes for work that nothing was set aside for.
    """
    with transaction.atomic():
        own = Reservation.objects.filter(subject=subject, released_at=None).first()
        if own is None:
            return None
        refusal, held = None, max(own.amount, amount)
        for budget, left in _rooms(own.organisation_id, own.project_id, own.key_id, now):
            room = own.amount + left
            if amount > room:
                refusal = refusal or _too_much(budget, amount, room)
            held = min(held, max(room, Decimal(0)))
        if held != own.amount:
            Reservation.objects.filter(pk=own.pk).update(amount=held)
    return refusal


def _too_much(budget: Budget | None, amount: Decimal, left: Decimal) -> BudgetSpent:
    if budget is None:
        return BudgetSpent(
            f"This would cost up to {amount.normalize():f} {settings.CURRENCY}, and "
            f"{left.normalize():f} of the credit is left. Ask for a top-up.",
            Detail(field="credit", rule=f"at most {left}", value=str(amount)),
        )
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


def key_limited(*, key_id: UUID) -> bool:
    """Whether a key has a hard budget of its own."""
    own = Budget.objects.filter(reach=Budget.Reach.KEY, target_id=key_id, hard=True)
    return bool(own.exists())


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


def standings_over(
    *, organisation_id: UUID, project_id: UUID, key_id: UUID | None, now: datetime
) -> list[Standing]:
    """How every budget over such work stands."""
    rows = budgets_over(organisation_id=organisation_id, project_id=project_id, key_id=key_id)
    return [standing(row, now) for row in rows.order_by("pk")]


def spent_against(budget: Budget, *, since: datetime | None) -> Decimal:
    """What has been spent of a budget's target since a moment."""
    reach, target = budget.reach, budget.target_id
    return spend.spent(
        organisation_id=budget.organisation_id,
        since=since,
        project_id=target if reach == Budget.Reach.PROJECT else None,
        key_id=target if reach == Budget.Reach.KEY else None,
    )


def budget_over(*, organisation_id: UUID, project_id: UUID, budget_id: UUID) -> Budget:
    """A budget over the project: of its own, its organisation or a key of it; NotFound else."""
    row = Budget.objects.filter(pk=budget_id, organisation_id=organisation_id).first()
    reach = Budget.Reach
    over = row is not None and (
        row.reach == reach.ORGANISATION
        or (row.reach == reach.PROJECT and row.target_id == project_id)
        or (row.reach == reach.KEY and row.target_id in tenancy.key_facts(project_id=project_id))
    )
    if row is None or not over:
        raise NotFound("There is no such budget.")
    return row


def limit_of(*, budget_id: UUID) -> Decimal | None:
    """A budget's limit as it is now; None if there is no such budget any more."""
    row = Budget.objects.filter(pk=budget_id).first()
    return row.limit if row is not None else None


def is_of_organisation(*, budget_id: UUID) -> bool:
    return Budget.objects.filter(pk=budget_id, reach=Budget.Reach.ORGANISATION).exists()


def set_limit_of(*, budget_id: UUID, limit: Decimal) -> Decimal | None:
    """Another limit for a budget; returns the one before, None if the budget is gone."""
    with transaction.atomic():
        row = Budget.objects.select_for_update().filter(pk=budget_id).first()
        if row is None:
            return None
        Budget.objects.filter(pk=row.pk).update(limit=limit)
    return row.limit


@dataclass(frozen=True, kw_only=True)
class AlertFact:
    """A budget that reached one of its percentages; `project_id` where it is a project's."""

    id: UUID
    at: datetime
    budget_id: UUID
    organisation_id: UUID
    project_id: UUID | None
    reach: str
    percent: int
    limit: Decimal
    spent: Decimal


def alerts_since(*, since: datetime) -> list[AlertFact]:
    """Alerts raised since then, oldest first; one of a key tells its organisation."""
    rows = Alert.objects.filter(created_at__gt=since).select_related("budget")
    return [
        AlertFact(
            id=row.pk, at=row.created_at, budget_id=row.budget_id, percent=row.percent,
            organisation_id=row.budget.organisation_id, reach=row.budget.reach,
            project_id=row.budget.target_id if row.budget.reach == "project" else None,
            limit=row.budget.limit, spent=row.spent,
        )
        for row in rows.order_by("created_at", "pk")
    ]  # fmt: skip


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
