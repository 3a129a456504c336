"""Ask to come in, get a letter, answer it: then there is an organisation with its trial credit."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction

from slipway.core import lifecycle, together
from slipway.core.errors import NotFound, NotSignedIn
from slipway.editions import services as editions
from slipway.metering import services as metering
from slipway.notices import services as notices
from slipway.signup.models import Phase, SignUp, Trial
from slipway.signup.services import turns
from slipway.tenancy.services import founding, keys, signin

#: So long a letter's link works, and so long what was asked is kept.
VALID_FOR = timedelta(days=1)
#: Until the next attempt where the mail server did not take a letter.
_TRY_AGAIN = timedelta(minutes=1)

_LETTER = """\
Somebody, we hope you, asked for an account with this address. Come in within a day:
有人（希望是您）用这个地址申请账号。请在一天内打开：

{url}/sign-up#{token}

If it was not you, do nothing: without you there will be no account.
如果不是您，不必理会：不打开就不会有账号。
"""
_KNOWN = """\
Somebody, we hope you, asked for an account with this address. There is one already: sign in.
有人（希望是您）用这个地址申请账号。账号已经存在，请直接登录：

{url}

If it was not you, do nothing: nothing has changed.
如果不是您，不必理会：什么都没有改变。
"""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Whether people may sign up here, and what they get to try."""

    open: bool
    trial_credit: Decimal
    currency: str
    #: Whether letters can be sent to who forgot a password.
    resets: bool


def offer() -> Offer:
    """Open where the edition lets people sign up, letters can be sent and a trial is set."""
    granted = settings.TRIAL_CREDIT
    may = editions.may_sign_up() and bool(settings.EMAIL_HOST) and granted is not None
    return Offer(
        open=may, trial_credit=granted or Decimal(0), currency=settings.CURRENCY,
        resets=bool(settings.EMAIL_HOST),
    )  # fmt: skip


def check_open() -> None:
    """NotFound where nobody may sign up."""
    if not offer().open:
        raise NotFound("Nobody signs up here; ask an owner of your organisation for an invite.")


def ask(*, email: str, password: str, organisation: str, address: str, now: datetime) -> None:
    """Note that somebody wants in; a letter follows.

    Whether the address has an account is not looked at here: answer and time are the same. Invalid
    for a password that will not do, TooMany beyond what a mailbox or network may ask in an hour.
    """
    check_open()
    email = email.lower()
    founding.check_newcomer(email=email, password=password, organisation=organisation)
    hashed = make_password(password)
    together.begin()
    turns.ask(
        SignUp, email=email, address=address, now=now,
        phase=Phase.ASKED, organisation=organisation, password=hashed,
    )  # fmt: skip


def send(row: SignUp, now: datetime) -> timedelta | None:
    """Send the letter; to an address with an account, another one."""
    if now - row.created_at > VALID_FOR:
        return _TRY_AGAIN  # the next sweep takes it away
    token, digest, text = "", "", _KNOWN
    if not founding.known(email=row.email):
        # A letter sent twice, after a crash, has a new token: the last one counts.
        token, text = secrets.token_urlsafe(32), _LETTER
        digest = keys.digest_of(token)
    lifecycle.annotate(row, reason="", digest=digest)
    try:
        notices.mail(
            to=row.email, subject="Slipway: your account",
            body=text.format(url=settings.PUBLIC_URL, token=token), name=str(row.pk),
        )  # fmt: skip
    except OSError as error:
        lifecycle.annotate(row, reason=f"the letter was not taken: {error}"[:500])
        return _TRY_AGAIN
    lifecycle.advance(row, Phase.MAILED, now=now)
    return None


def verify(*, token: str, password: str, address: str, now: datetime) -> founding.Founded:
    """Make the account, its organisation and its trial credit, once.

    The password is asked for again: only who signed up knows it, and only who reads the mailbox has
    the token, so that nobody gets an account with a password somebody else chose. NotFound for
    a token that is unknown, used or too old; NotSignedIn for another password, SlowDown after many.
    """
    check_open()
    row = SignUp.objects.filter(
        digest=keys.digest_of(token), phase=Phase.MAILED, created_at__gt=now - VALID_FOR
    ).first()
    if row is None:
        raise _unknown()
    signin.check_pace(user_name=row.email, address=address, now=now)
    if not check_password(password, row.password):
        signin.note_failure(user_name=row.email, address=address, now=now)
        raise NotSignedIn("This is not the password that the account was asked for with.")
    together.begin()
    with transaction.atomic():
        hashed = row.password
        try:
            lifecycle.advance(row, Phase.VERIFIED, now=now, password="", digest="")
        except lifecycle.LostRace as error:
            raise _unknown() from error
        made = founding.found(email=row.email, password=hashed, organisation=row.organisation)
        mailbox = keys.digest_of(f"mailbox:{turns.mailbox_of(row.email)}")
        _, first = Trial.objects.get_or_create(digest=mailbox, defaults={"created_at": now})
        # Also of nothing: who came in alone spends no more than was paid in.
        metering.pay_in(
            organisation_id=made.organisation_id,
            amount=offer().trial_credit if first else Decimal(0),
            note="trial" if first else "no trial: this mailbox had one", made_by="sign-up",
        )  # fmt: skip
    signin.forgive(user_name=row.email)
    return made


def _unknown() -> NotFound:
    return NotFound("This link is unknown, used or too old; sign up again.")


def forget(*, now: datetime) -> None:
    """What was asked longer ago than letters work is not kept."""
    SignUp.objects.filter(created_at__lt=now - VALID_FOR).delete()
