"""Take units of a plan, more or fewer of them, and pay for each term as it begins."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from slipway.core import lifecycle
from slipway.core.errors import Conflict, Detail, Forbidden, Invalid, NotFound
from slipway.metering import services as metering
from slipway.plans import rules
from slipway.plans.models import Phase, Plan, Subscription
from slipway.plans.services import granting, offering
from slipway.tenancy import services as tenancy

#: Columns that move while it lives.
_MOVES = ("phase", "units", "next_units", "renews", "term", "term_ends_at", "away_from",
          "away_until")  # fmt: skip


def subscribe(
    *, principal: tenancy.Principal, plan_id: UUID, units: int, now: datetime
) -> Subscription:
    """Units of a plan for the principal's project, the first term paid at once.

    NotFound for a plan that is not offered, Conflict where the project has it or it would give
    nothing, Forbidden for a key with a budget of its own, Invalid for too many units, BudgetSpent
    where a limit leaves less than the fee.
    """
    plan = offering.offered().filter(pk=plan_id).first()
    if plan is None:
        raise NotFound("There is no such plan on offer.")
    _check_payer(principal)
    _check_useful(plan)
    _check_units(plan, units)
    try:
        with transaction.atomic():
            row = Subscription.objects.create(
                created_at=now, phase=Phase.ACTIVE, project_id=principal.project_id, plan=plan,
                units=units, begun_at=now, term_ends_at=rules.start_of(now, plan.term, 1),
                made_by=principal.user_name, look_at=rules.start_of(now, plan.term, 1),
            )  # fmt: skip
            _charge(row, amount=rules.fee_of(plan.fee, units), now=now)
    except IntegrityError as error:
        raise Conflict(
            "This project has this plan already; change how many units it has of it."
        ) from error
    return row


def subscriptions_of(*, project_id: UUID) -> Any:
    """A project's subscriptions, those that have ended too; a query."""
    return Subscription.objects.filter(project_id=project_id).select_related("plan")


def subscription_of(*, project_id: UUID, subscription_id: UUID) -> Subscription:
    row: Subscription | None = (
        subscriptions_of(project_id=project_id).filter(pk=subscription_id).first()
    )
    if row is None:
        raise NotFound("There is no such subscription in this project.")
    return row


def change(
    *,
    principal: tenancy.Principal,
    subscription_id: UUID,
    now: datetime,
    units: int | None = None,
    renews: bool | None = None,
) -> Subscription:
    """More units at once, for their share of the term; fewer from the next term on; renewed or not.

    As many as there are takes back what was asked for the next term. Conflict once it has ended,
    and for more units between two terms or where they would give nothing.
    """
    with transaction.atomic():
        here = Subscription.objects.select_for_update().filter(project_id=principal.project_id)
        row = here.filter(pk=subscription_id).first()
        if row is None:
            raise NotFound("There is no such subscription in this project.")
        if row.phase != Phase.ACTIVE:
            raise Conflict("This subscription has ended; take the plan anew.")
        if renews or (units or 0) > row.units:
            _check_payer(principal)
        if renews is not None:
            row.renews = renews
        if units is not None:
            _check_units(row.plan, units)
            row.next_units = units if units < row.units else None
            if units > row.units:
                _take_more(row, units, now)
        row.save(update_fields=["renews", "units", "next_units"])
    return row


def _take_more(row: Subscription, units: int, now: datetime) -> None:
    if not row.plan.offered:
        raise Conflict("This plan is offered no more; what you have of it lasts to its term's end.")
    _check_useful(row.plan)
    if row.term_ends_at <= now:
        raise Conflict("Its term is over and the next one is about to begin; ask in a moment.")
    start = rules.start_of(row.begun_at, row.plan.term, row.term)
    share = rules.share_left(start, row.term_ends_at, now)
    more, row.units = units - row.units, units
    _charge(row, amount=rules.fee_of(row.plan.fee, more, share), now=now)


def renew_no_more(*, project_ids: Collection[UUID]) -> None:
    """Let what these projects have end with the terms that are paid."""
    rows = Subscription.objects.filter(project_id__in=project_ids, phase=Phase.ACTIVE)
    rows.update(renews=False)


def renew(row: Subscription, now: datetime) -> timedelta | None:
    """When the term is over: pay the next one, or end, and say why."""
    with transaction.atomic():
        # Whoever changes it now waits, and what was changed a moment ago is seen.
        Subscription.objects.select_for_update().get(pk=row.pk)
        row.refresh_from_db(fields=_MOVES)
        if row.phase != Phase.ACTIVE or now < row.term_ends_at:
            return row.term_ends_at - now
        why = _why_it_ends(row) or _begin_term(row, now)
        if why:
            lifecycle.advance(row, Phase.ENDED, now=now, reason=why[:1000], ended_at=now)
            return None
    return row.term_ends_at - now


def _why_it_ends(row: Subscription) -> str:
    if not row.renews:
        return "It was not to be renewed."
    if not row.plan.offered:
        return "The plan is offered no more."
    if not granting.gives(row.plan):
        return "The house does not limit any more what the plan adds to."
    if tenancy.project_fact(project_id=row.project_id).archived_at is not None:
        return "The project is in the bin."
    return ""


def _begin_term(row: Subscription, now: datetime) -> str:
    """Pay the next term and begin it; or why that could not be."""
    term, unit_fee = row.plan.term, row.plan.fee
    before = {name: getattr(row, name) for name in _MOVES}
    after = row.term + 1
    row.term = rules.term_at(row.begun_at, term, after, now)
    if row.term > after:
        row.away_from = row.term_ends_at
        row.away_until = rules.start_of(row.begun_at, term, row.term)
    row.term_ends_at = rules.start_of(row.begun_at, term, row.term + 1)
    row.units, row.next_units = row.next_units or row.units, None
    try:
        _charge(row, amount=rules.fee_of(unit_fee, row.units), now=now)
    except metering.BudgetSpent as error:
        for name, value in before.items():
            setattr(row, name, value)
        return f"The next term was not paid: {error}"
    # Trouble that kept it from being paid is over.
    row.reason = ""
    row.save(update_fields=["term", "term_ends_at", "units", "next_units", "reason",
                            "away_from", "away_until"])  # fmt: skip
    return ""


def _charge(row: Subscription, *, amount: Decimal, now: datetime) -> None:
    """In the transaction that changes the row. Within a term units only grow, so the key is new."""
    metering.charge_fee(
        key=f"subscription {row.pk}:{row.term}:{row.units}", subject=f"subscription {row.pk}",
        name=row.plan.name, amount=amount, project_id=row.project_id, now=now,
    )  # fmt: skip


def _check_payer(principal: tenancy.Principal) -> None:
    """A key with a budget of its own binds nobody to pay term after term."""
    if principal.key_id is not None and metering.key_limited(key_id=principal.key_id):
        raise Forbidden(
            "This key has a budget of its own, and a plan is paid again every term: take it in "
            "the console, or with a key that has none."
        )


def _check_units(plan: Plan, units: int) -> None:
    if not 1 <= units <= plan.most_units:
        raise Invalid(
            f"Of {plan.name} a project takes 1 to {plan.most_units} units.",
            Detail(field="units", rule=f"1 to {plan.most_units}", value=str(units),
                   fix=str(max(1, min(units, plan.most_units)))),
        )  # fmt: skip


def _check_useful(plan: Plan) -> None:
    """Nobody pays for more of what is not limited."""
    if plan.everybody:
        raise Conflict("Everybody has this plan; there is nothing to take.")
    if not granting.gives(plan):
        raise Conflict(
            f"{plan.name} would give nothing: the house does not limit how fast "
            f"{plan.model or 'models'} may be asked. Nothing is charged in {settings.CURRENCY}."
        )


def ended_since(*, since: datetime) -> list[Subscription]:
    """Subscriptions that ended since then, oldest first."""
    rows = Subscription.objects.filter(phase=Phase.ENDED, ended_at__gt=since)
    return list(rows.select_related("plan").order_by("ended_at", "pk"))
