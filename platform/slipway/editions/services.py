"""How this installation stands with its licence, and what there is room for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from slipway.core.errors import Conflict, Detail, Forbidden, Invalid
from slipway.editions.models import Clock, Installed
from slipway.editions.rules import hardware, licence, policy
from slipway.editions.rules.licence import BadLicence, Terms

#: A clock may be set back by so much without a word: daylight, drift, a battery.
TOLERANCE = timedelta(hours=1)

VALID, TRIAL, GRACE, READ_ONLY, NOT_NEEDED = "valid", "trial", "grace", "read_only", "not_needed"


class NoRoom(Forbidden):
    """The licence has no more of what is asked for."""

    code = "licence_limit"


class ReadOnly(Forbidden):
    """The licence in force, if any, lets nothing be changed."""

    code = "read_only"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """`state` is one of valid, trial, grace, read_only, not_needed; `reason` says why."""

    edition: str
    state: str
    reason: str
    #: Until when the state lasts, if that is known.
    until: datetime | None = None
    terms: Terms | None = None
    clock_set_back: bool = False


def standing(*, now: datetime) -> Standing:
    """How things stand. Time never goes back for this: the latest time ever seen counts."""
    edition = settings.EDITION
    rules = policy.EDITIONS[edition]
    if not rules.needs_licence:
        return Standing(edition=edition, state=NOT_NEEDED, reason=rules.about)
    clock = look_at_clock(now=now)
    back = clock.latest_at - now > TOLERANCE
    at = max(now, clock.latest_at)
    row = Installed.objects.order_by("-created_at", "-pk").first()
    found: tuple[str, str, datetime | None]
    terms = None
    if row is None:
        ends = clock.first_at + timedelta(days=rules.trial_days)
        found = (
            (TRIAL, f"no licence yet; this trial ends on {ends:%Y-%m-%d}", ends)
            if at < ends
            else (READ_ONLY, "the trial is over; install a licence to make changes again", None)
        )
    else:
        try:
            terms = licence.read(row.file.encode(), settings.LICENCE_PUBLIC_KEY)
        except BadLicence as error:
            found = (READ_ONLY, f"the installed licence cannot be used: {error}", None)
        else:
            found = _of(terms, at, rules)
    state, reason, until = found
    if back:
        reason += (
            f" (the clock was set back from {clock.latest_at:%Y-%m-%d %H:%M}; that time counts)"
        )
    return Standing(
        edition=edition, state=state, reason=reason, until=until, terms=terms, clock_set_back=back
    )


def _of(terms: Terms, at: datetime, rules: policy.Policy) -> tuple[str, str, datetime | None]:
    if not terms.fits(hardware.parts()):
        return READ_ONLY, "the licence is for another machine; ask for it to be moved", None
    if at < terms.starts_at:
        return READ_ONLY, f"the licence begins on {terms.starts_at:%Y-%m-%d}", terms.starts_at
    if at < terms.ends_at:
        return VALID, f"licensed to {terms.customer} until {terms.ends_at:%Y-%m-%d}", terms.ends_at
    ends = terms.ends_at + timedelta(days=rules.grace_days)
    if at < ends:
        return GRACE, f"the licence ended; changes are possible until {ends:%Y-%m-%d}", ends
    return READ_ONLY, f"the licence ended on {terms.ends_at:%Y-%m-%d}; renew it", None


def look_at_clock(*, now: datetime) -> Clock:
    """Remember the latest time; called often, so that setting the clock back gains nothing."""
    clock, new = Clock.objects.get_or_create(pk=1, defaults={"first_at": now, "latest_at": now})
    # A minute's grain: this is asked on every change.
    if not new and now - clock.latest_at > timedelta(minutes=1):
        Clock.objects.filter(pk=1, latest_at__lt=now).update(latest_at=now)
        clock.latest_at = now
    return clock


def install(*, file: str, now: datetime) -> Standing:
    """Take a licence into use; Invalid if it is none, or is for another edition or machine."""
    try:
        terms = licence.read(file.encode(), settings.LICENCE_PUBLIC_KEY)
    except BadLicence as error:
        raise _refused(str(error)) from error
    if terms.edition != settings.EDITION:
        raise _refused(f"it is for the edition {terms.edition}, and this is {settings.EDITION}")
    if not terms.fits(hardware.parts()):
        raise _refused("it is for another machine: more than one of its parts differs")
    Installed.objects.create(file=file, created_at=now)
    return standing(now=now)


def installed() -> str:
    """The licence file in use; Conflict where there is none."""
    row = Installed.objects.order_by("-created_at", "-pk").first()
    if row is None:
        raise Conflict("There is no licence here that could be given back.")
    return row.file


def _refused(why: str) -> Invalid:
    return Invalid(
        f"This licence cannot be used: {why}.",
        Detail(field="file", rule=why, fix="ask the vendor for a new file"),
    )


def needs_licence() -> bool:
    """Whether changes need a licence in force here."""
    return policy.EDITIONS[settings.EDITION].needs_licence


def may_sign_up() -> bool:
    """Whether this edition is one where people come in by themselves."""
    return policy.EDITIONS[settings.EDITION].sign_up


def proves_domains() -> bool:
    """Whether who claims a mail domain must prove that it is theirs."""
    return policy.EDITIONS[settings.EDITION].proves_domains


def check_writable(*, now: datetime) -> None:
    """ReadOnly if nothing may be changed for want of a licence."""
    seen = standing(now=now)
    if seen.state == READ_ONLY:
        raise ReadOnly(f"Nothing can be changed now: {seen.reason}. What runs goes on.")


def check_room(*, what: str, used: int) -> None:
    """NoRoom if the licence has fewer than `used` of `what` (seats, gpus)."""
    seen = standing(now=timezone.now())
    most = getattr(seen.terms, what) if seen.terms else 0
    if most and used > most:
        raise NoRoom(
            f"The licence has {most} {what}, and this would be {used}. Free one, or extend it.",
            Detail(field=what, rule=f"at most {most}", value=used),
        )
