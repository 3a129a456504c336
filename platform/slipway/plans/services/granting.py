"""What plans give: how fast a project may ask, and whose replicas are paid already."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from slipway.plans.models import Phase, Plan, Subscription
from slipway.tenancy import services as tenancy


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What the house lets a project ask, in all or of one model; None where it sets no limit."""

    #: The plan of everybody that they begin with.
    plan_id: UUID
    requests_per_minute: int | None
    tokens_per_minute: int | None


def rates(*, project_id: UUID | None = None) -> dict[tuple[UUID, str], Rates]:
    """By project (all, or this one) and model (empty: all together) what the house lets it ask.

    A plan of everybody limits; units of other plans for the same model add to it. Without one
    the house limits nothing, whatever was bought.
    """
    bases = {plan.model: plan for plan in Plan.objects.filter(offered=True, everybody=True)}
    if not bases:
        return {}
    bought = _bought()
    return {
        (each, model): Rates(
            plan_id=plan.pk,
            requests_per_minute=_sum(plan, bought[each, model], "requests_per_minute"),
            tokens_per_minute=_sum(plan, bought[each, model], "tokens_per_minute"),
        )
        for each in ([project_id] if project_id else tenancy.open_projects())
        for model, plan in bases.items()
    }


def gives(plan: Plan) -> bool:
    """Whether units of a plan give anything: more of what the house limits, or replicas."""
    base = Plan.objects.filter(offered=True, everybody=True, model=plan.model).first()
    added = ("requests_per_minute", "tokens_per_minute")
    more = base is not None and any(getattr(plan, n) and getattr(base, n) for n in added)
    return bool(more or plan.replicas)


@dataclass(frozen=True, kw_only=True)
class Paid:
    """So many replicas are paid from one moment to another."""

    since: datetime
    until: datetime
    replicas: int


def replicas_paid(
    *, project_id: UUID, model: str, since: datetime, until: datetime
) -> list[Paid] | None:
    """What subscriptions pay of the project's replicas of a name, wholly or partly in that span.

    None while a term is over that is about to be renewed or ended: it is not known yet.
    """
    rows = Subscription.objects.filter(
        project_id=project_id, plan__model=model, plan__replicas__gt=0
    ).select_related("plan")
    if rows.filter(phase=Phase.ACTIVE, term_ends_at__lte=until).exists():
        return None
    found = []
    for row in rows.filter(begun_at__lt=until, term_ends_at__gt=since).order_by("pk"):
        edges = [row.begun_at, row.away_from, row.away_until, row.term_ends_at]
        times = [each for each in edges if each is not None]
        found += [
            Paid(since=begin, until=end, replicas=row.units * row.plan.replicas)
            for begin, end in zip(times[::2], times[1::2], strict=True)
        ]
    return found


def _bought() -> dict[tuple[UUID, str], list[Subscription]]:
    found: dict[tuple[UUID, str], list[Subscription]] = defaultdict(list)
    rows = Subscription.objects.filter(phase=Phase.ACTIVE).select_related("plan")
    for row in rows.order_by("pk"):
        found[row.project_id, row.plan.model].append(row)
    return found


def _sum(base: Plan, more: list[Subscription], name: str) -> int | None:
    given: int = getattr(base, name)
    return given + sum(row.units * getattr(row.plan, name) for row in more) if given else None
