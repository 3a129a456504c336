"""Set, list and lift limits; the gateway keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from slipway.core.errors import Detail, Invalid, NotFound
from slipway.limits.models import RateLimit
from slipway.tenancy import services as tenancy

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


def lift_limit(*, maker: tenancy.Principal, limit_id: UUID) -> None:
    _only_owners(maker)
    if not RateLimit.objects.filter(pk=limit_id, project_id=maker.project_id).delete()[0]:
        raise NotFound("There is no such limit in this project.")


def _only_owners(maker: tenancy.Principal) -> None:
    # Or a key could lift its own.
    maker.check_reach("access", tenancy.Level.FULL)
