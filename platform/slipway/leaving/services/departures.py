"""An organisation goes: asked for by its owner, taken back while it waits, then for good."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from slipway.core import lifecycle, nudge, reconcile
from slipway.core.errors import Conflict, Detail, Forbidden, Invalid, NotFound
from slipway.leaving.models import Departure, DeparturePhase
from slipway.leaving.services import kinds, removing, stopping
from slipway.tenancy import services as access
from slipway.tenancy.services import whole as tenancy

#: While it waits, what somebody started anew is stopped within so long.
_LOOK = timedelta(minutes=1)
_STOPPING = timedelta(seconds=2)


def standing(*, organisation_id: UUID) -> Departure | None:
    """The departure that was asked for and not taken back."""
    rows = Departure.objects.filter(organisation_id=organisation_id)
    return rows.exclude(phase=DeparturePhase.WITHDRAWN).first()


def ask(*, principal: access.Principal, name: str, now: datetime) -> Departure:
    """Begin to wait; keys end and work stops at once. Twice is once.

    Forbidden with a key: a program cannot be asked who sits there. Invalid where `name` is not
    the organisation's; Conflict for the last organisation of the installation.
    """
    if principal.key_id is not None:
        raise Forbidden("Only a person can ask for this; sign in to the console.")
    organisation_id = principal.organisation_id
    with transaction.atomic():
        organisation = tenancy.lock_organisation(organisation_id=organisation_id)
        if name != organisation.name:
            raise Invalid(
                "This is not the name of the organisation; nothing was done.",
                Detail(field="name", rule="the organisation's name", value=name,
                       fix=f"Type {organisation.name}."),
            )  # fmt: skip
        if tenancy.is_last(organisation_id=organisation_id):
            raise Conflict("It is the only organisation of this installation; make another first.")
        made = standing(organisation_id=organisation_id)
        if made is None:
            made = Departure.objects.create(
                organisation_id=organisation_id, made_by=principal.user_name,
                phase=DeparturePhase.WAITING, reason="keys have ended; work is being stopped",
                due_at=now + timedelta(days=settings.ORGANISATION_BIN_DAYS),
            )  # fmt: skip
            tenancy.end_keys(organisation_id=organisation_id, now=now)
            lifecycle.born(made, now=now)
            nudge.soon(Departure)
    return made


def withdraw(*, organisation_id: UUID, now: datetime) -> Departure:
    """Take it back: everything is there again but keys. Conflict once it has begun."""
    found = standing(organisation_id=organisation_id)
    if found is None:
        raise NotFound("Nobody has asked for the end of this organisation.")
    try:
        lifecycle.advance(found, DeparturePhase.WITHDRAWN, now=now, reason="taken back", made_by="")
    except (lifecycle.LostRace, lifecycle.NoSuchMove) as error:
        raise Conflict("Its removal has begun; it cannot be taken back any more.") from error
    return found


def step(departure: Departure, now: datetime) -> timedelta | None:
    """One step nearer to the end; whatever was broken off is done again."""
    match departure.phase:
        case DeparturePhase.WAITING:
            return _wait(departure, now)
        case DeparturePhase.STOPPING:
            if left := stopping.stop(organisation_id=departure.organisation_id, now=now):
                lifecycle.annotate(departure, reason=f"waits for the end of {', '.join(left[:5])}")
                return _STOPPING
            lifecycle.advance(departure, DeparturePhase.REMOVING, now=now)
        case DeparturePhase.REMOVING:
            _remove(departure)
            tenancy.bury(organisation_id=departure.organisation_id, now=now)
            lifecycle.advance(
                departure, DeparturePhase.SETTLING, now=now, rows_gone_at=timezone.now(),
                made_by="",
            )  # fmt: skip
        case DeparturePhase.SETTLING:
            gone_at = departure.rows_gone_at or now
            if now < (until := gone_at + reconcile.LEASE):
                return until - now
            _remove(departure)
            lifecycle.advance(departure, DeparturePhase.DONE, now=now, done_at=now)
    return None


def _wait(departure: Departure, now: datetime) -> timedelta | None:
    if now >= departure.due_at:
        lifecycle.advance(departure, DeparturePhase.STOPPING, now=now)
        return None
    left = stopping.stop(organisation_id=departure.organisation_id, now=now)
    reason = f"waits for the end of {', '.join(left[:5])}" if left else ""
    lifecycle.annotate(departure, reason=reason)
    return min(_LOOK, departure.due_at - now)


def _remove(departure: Departure) -> None:
    def told(counts: dict[str, int]) -> None:
        reconcile.renew(departure)
        removed = dict(departure.removed)
        for what, count in counts.items():
            removed[what] = removed.get(what, 0) + count
        done = f"{sum(removed.values()) - removed.get('bytes', 0):,} rows and objects removed"
        lifecycle.annotate(departure, reason=done, removed=removed)

    removing.everything(organisation_id=departure.organisation_id, told=told)


def forget_books(now: datetime) -> None:
    """What the law asked to be kept has been kept for as long as it asks: it goes too."""
    until = now - timedelta(days=365.25 * settings.BOOKS_YEARS)
    books = [kind for kind in kinds.KINDS if kind.stays == kinds.BOOKS]
    for departure in Departure.objects.filter(phase=DeparturePhase.DONE, done_at__lt=until):
        removing.rows(books, organisation_id=departure.organisation_id, told=lambda _: None)
