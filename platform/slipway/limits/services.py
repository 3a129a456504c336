"""Set, list and lift limits; the gateway keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Sum

from slipway.core.errors import Detail, Invalid, NotFound
from slipway.limits import rules
from slipway.limits.models import RateLimit, Share
from slipway.tenancy import services as tenancy

#: A gateway that was not heard for so long is gone, and what it held is free.
GONE_SECONDS = 5.0
RATES = ("requests_per_minute", "tokens_per_minute", "at_once")


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit in force, for the gateway's snapshot."""

    project_id: UUID
    key_id: UUID | None
    model: str
    requests_per_minute: int | None
    tokens_per_minute: int | None
    at_once: int | None


def all_limits() -> Iterator[Limit]:
    """Every limit of every project."""
    for row in RateLimit.objects.order_by("pk").iterator():
        yield _limit(row)


def limits_of(*, project_id: UUID) -> list[Limit]:
    """Limits that count all keys of a project together, by model."""
    rows = RateLimit.objects.filter(project_id=project_id, key_id=None).order_by("model", "pk")
    return [_limit(row) for row in rows]


def _limit(row: RateLimit) -> Limit:
    return Limit(
        project_id=row.project_id,
        key_id=row.key_id,
        model=row.model,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        at_once=row.at_once,
    )


def exchange(gateway: str, asks: Sequence[rules.Ask], now: float) -> rules.Exchanged:
    """Give back to the common pots and lease from them; `now` in Unix seconds."""
    pots = {}
    with transaction.atomic():
        _, new = Share.objects.update_or_create(
            pot="gateways", gateway=gateway, defaults={"amount": 0, "at": now}
        )
        if new:
            Share.objects.exclude(gateway="").filter(at__lt=now - 100 * GONE_SECONDS).delete()
        # Always in the same order, or two gateways could wait for each other.
        for ask in sorted(asks, key=lambda ask: ask.pot):
            pot, _ = Share.objects.get_or_create(
                pot=ask.pot, gateway="", defaults={"amount": ask.size, "at": now}
            )
            pot = Share.objects.select_for_update().get(pk=pot.pk)
            if ask.rate:
                grant, left = rules.from_bucket(ask, level=pot.amount, at=pot.at, now=now)
                pot.amount, pot.at = left, max(pot.at, now)
                pot.save(update_fields=["amount", "at"])
            else:
                grant, left = _slots(gateway, ask, now)
            pots[ask.pot] = (grant, left)
        alive = Share.objects.filter(pot="gateways", at__gt=now - GONE_SECONDS)
        others = alive.exclude(gateway=gateway).count()
    return rules.Exchanged(pots=pots, others=others)


def _slots(gateway: str, ask: rules.Ask, now: float) -> tuple[float, float]:
    rows = Share.objects.filter(pot=ask.pot).exclude(gateway="")
    own = rows.filter(gateway=gateway).first()
    others = rows.exclude(gateway=gateway).filter(at__gt=now - GONE_SECONDS)
    by_others = others.aggregate(sum=Sum("amount"))["sum"] or 0.0
    grant, held = rules.from_slots(ask, held=own.amount if own else 0.0, by_others=by_others)
    Share.objects.update_or_create(
        pot=ask.pot, gateway=gateway, defaults={"amount": held, "at": now}
    )
    return grant, max(0.0, ask.size - by_others - held)


def set_limit(
    *,
    maker: tenancy.Principal,
    key_id: UUID | None = None,
    model: str = "",
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    at_once: int | None = None,
) -> RateLimit:
    """Set the limit of this scope in the maker's project, in place of the one that was there."""
    _only_owners(maker)
    rates = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "at_once": at_once,
    }
    if all(rate is None for rate in rates.values()):
        raise Invalid(
            "A limit needs at least one rate.",
            Detail(field="requests_per_minute", rule=f"one of {', '.join(RATES)} is given",
                   fix="Give one, or delete the limit to lift it."),
        )  # fmt: skip
    if key_id is not None and not tenancy.has_key(project_id=maker.project_id, key_id=key_id):
        raise NotFound("There is no such key in this project.")
    row, _ = RateLimit.objects.update_or_create(
        project_id=maker.project_id, key_id=key_id, model=model, defaults=rates
    )
    return row


def limit(*, maker: tenancy.Principal, limit_id: UUID) -> RateLimit:
    row = RateLimit.objects.filter(pk=limit_id, project_id=maker.project_id).first()
    if row is None:
        raise NotFound("There is no such limit in this project.")
    return row


def ids_over(*, project_id: UUID, key_id: UUID | None) -> list[UUID]:
    """Limits of all keys of a project, and of this one."""
    rows = RateLimit.objects.filter(Q(key_id=None) | Q(key_id=key_id), project_id=project_id)
    return list(rows.order_by("created_at", "pk").values_list("pk", flat=True))


def rates_of(*, limit_id: UUID) -> dict[str, int]:
    """The rates of a limit that are limited; empty if it is gone."""
    row = RateLimit.objects.filter(pk=limit_id).first()
    found = {name: getattr(row, name) for name in RATES} if row is not None else {}
    return {name: rate for name, rate in found.items() if rate is not None}


def set_rates_of(*, limit_id: UUID, rates: Mapping[str, int]) -> dict[str, int]:
    """Other values for some rates of a limit; returns all its rates as they were."""
    with transaction.atomic():
        RateLimit.objects.select_for_update().filter(pk=limit_id).first()
        was = rates_of(limit_id=limit_id)
        RateLimit.objects.filter(pk=limit_id).update(**rates)
    return was


def lift_all(*, maker: tenancy.Principal, model: str = "") -> None:
    """Lift the limit of all keys together, of a model or of all; fine if there is none."""
    _only_owners(maker)
    RateLimit.objects.filter(project_id=maker.project_id, key_id=None, model=model).delete()


def lift_limit(*, maker: tenancy.Principal, limit_id: UUID) -> None:
    _only_owners(maker)
    if not RateLimit.objects.filter(pk=limit_id, project_id=maker.project_id).delete()[0]:
        raise NotFound("There is no such limit in this project.")


def _only_owners(maker: tenancy.Principal) -> None:
    # Or a key could lift its own.
    maker.check_reach("access", tenancy.Level.FULL)
