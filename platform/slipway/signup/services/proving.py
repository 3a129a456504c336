"""Letters that prove an address, or let who forgot a password choose another one."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from slipway.core import lifecycle, together
from slipway.core.errors import Conflict, NotFound
from slipway.notices import services as notices
from slipway.signup.models import About, Letter, LetterPhase
from slipway.signup.services import turns
from slipway.tenancy.services import keys, own, signin

#: So long a letter's link works, and so long what was asked is kept.
VALID_FOR = timedelta(hours=1)
#: Until the next attempt where the mail server did not take a letter.
_TRY_AGAIN = timedelta(minutes=1)

_FORGOTTEN = """\
Somebody, we hope you, forgot the password of {user}. Choose another one within an hour:
有人（希望是您）忘记了 {user} 的密码。请在一小时内设置新密码：

{url}/new-password#{token}

If it was not you, do nothing: the password stays as it is.
如果不是您，不必理会：密码不变。
"""
_ADDRESS = """\
{user} says that this is their address. If that is you, confirm it within an hour:
{user} 说这是自己的邮箱地址。如果是您，请在一小时内确认：

{url}/address#{token}

If it was not you, do nothing.
如果不是您，不必理会。
"""
_CHANGED = """\
The password of {user} was changed just now, by a letter to this address, and all sessions ended.
{user} 的密码刚刚通过寄到此地址的信件修改，所有会话已结束。

If it was not you, ask for another letter at once, and tell who administers your organisation:
如果不是您，请立即重新设置密码，并告知您组织的管理员：

{url}
"""


def check_open() -> None:
    """NotFound where no letters can be sent."""
    if not settings.EMAIL_HOST:
        raise NotFound("No mail is sent from here; ask an owner of your organisation.")


def forgot(*, email: str, address: str, now: datetime) -> None:
    """Note that somebody forgot a password; a letter follows, if anybody has this address.

    That is not looked at here: answer and time are the same. TooMany beyond what may be asked.
    """
    check_open()
    together.begin()
    turns.ask(
        Letter, email=email.lower(), address=address, now=now,
        phase=LetterPhase.ASKED, about=About.FORGOTTEN,
    )  # fmt: skip


def claim(*, user: Any, password: str, email: str, address: str, now: datetime) -> None:
    """Send a letter to what somebody says is their address; it is theirs once they answer.

    It opens the account from then on, so the password is asked for. NotSignedIn if it is wrong,
    SlowDown after many, Conflict for who signs in through a provider or has proved it already.
    """
    check_open()
    if not user.has_usable_password():
        raise Conflict("You sign in through an identity provider; there is no password to forget.")
    signin.sign_in(user_name=user.username, password=password, address=address, now=now)
    if email.lower() == user.proved_email:
        raise Conflict("This address is proved already.")
    together.begin()
    turns.ask(
        Letter, email=email.lower(), address=address, now=now,
        phase=LetterPhase.ASKED, about=About.ADDRESS, user=user,
    )  # fmt: skip


def send(row: Letter, now: datetime) -> timedelta | None:
    """Send the letter, or the one that tells what came of it."""
    if now - row.created_at > VALID_FOR:
        return _TRY_AGAIN  # the next sweep takes it away
    token, text, after = "", _CHANGED, LetterPhase.DONE
    user = row.user if row.about == About.ADDRESS else own.with_address(email=row.email)
    if user is None:
        # Strangers get no letters that they did not ask for.
        lifecycle.advance(row, LetterPhase.DONE, now=now)
        return None
    if row.phase == LetterPhase.ASKED:
        # One sent twice, after a crash, has a new token: the last one counts.
        token, after = secrets.token_urlsafe(32), LetterPhase.MAILED
        text = _FORGOTTEN if row.about == About.FORGOTTEN else _ADDRESS
        lifecycle.annotate(row, reason="", digest=keys.digest_of(token))
    body = text.format(user=user.username, url=settings.PUBLIC_URL, token=token)
    try:
        notices.mail(
            to=row.email, subject="Slipway: your account", body=body, name=f"{row.pk}-{after}"
        )
    except OSError as error:
        lifecycle.annotate(row, reason=f"the letter was not taken: {error}"[:500])
        return _TRY_AGAIN
    lifecycle.advance(row, after, now=now)
    return None


def choose_password(*, token: str, password: str, now: datetime) -> None:
    """Another password for whoever reads the mailbox, once; all their sessions end.

    NotFound for a link that is unknown, used or too old, Invalid for a password that will not do.
    """
    row = _letter(token, About.FORGOTTEN, now)
    user = own.with_address(email=row.email)
    if user is None:
        raise _unknown()
    own.check_new(user=user, new_password=password, field="password")
    together.begin()
    with transaction.atomic():
        _use(row, LetterPhase.ANSWERED, now)
        own.reset_password(user=user, new_password=password)


def prove(*, token: str, now: datetime) -> str:
    """Whoever reads the mailbox has this address; the address. NotFound as above."""
    row = _letter(token, About.ADDRESS, now)
    if row.user is None:
        raise _unknown()
    together.begin()
    with transaction.atomic():
        _use(row, LetterPhase.ANSWERED, now)
        lifecycle.advance(row, LetterPhase.DONE, now=now)
        own.note_address(user=row.user, email=row.email)
    return row.email


def _letter(token: str, about: str, now: datetime) -> Letter:
    row = Letter.objects.filter(
        digest=keys.digest_of(token), about=about, phase=LetterPhase.MAILED,
        created_at__gt=now - VALID_FOR,
    ).first()  # fmt: skip
    if row is None:
        raise _unknown()
    return row


def _use(row: Letter, phase: str, now: datetime) -> None:
    try:
        lifecycle.advance(row, phase, now=now, digest="")
    except lifecycle.LostRace as error:
        raise _unknown() from error


def _unknown() -> NotFound:
    return NotFound("This link is unknown, used or too old; ask for another letter.")


def forget(*, now: datetime) -> None:
    """What was asked longer ago than letters work is not kept."""
    Letter.objects.filter(created_at__lt=now - VALID_FOR).delete()
