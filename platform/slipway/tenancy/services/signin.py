"""Signing in with a password, slower with every wrong one, or wrong passcode after it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.contrib.auth import authenticate

from slipway.core import together
from slipway.core.errors import NotSignedIn, Refused
from slipway.tenancy.models import SignInFailure, User
from slipway.tenancy.services.keys import digest_of

#: Wrong passwords are remembered for so long.
WINDOW = timedelta(minutes=15)
#: So many are free for a name and for an address; each one more doubles the wait.
FREE_PER_NAME, FREE_PER_ADDRESS = 5, 30
_LONGEST_SECONDS = 900


class SlowDown(Refused):
    """Too many wrong passwords; the answer says how long to wait."""

    status = 429
    code: ClassVar[str] = "too_many_attempts"


def sign_in(*, user_name: str, password: str, address: str, now: datetime) -> User:
    """The person whose password this is. NotSignedIn if it is wrong, SlowDown before it is tried.

    Names and addresses are slowed apart, and names that do not exist like those that do.
    """
    check_pace(user_name=user_name, address=address, now=now)
    user: User | None = authenticate(username=user_name, password=password)
    if user is None:
        note_failure(user_name=user_name, address=address, now=now)
        raise NotSignedIn("User name or password is wrong.")
    return user


def check_pace(*, user_name: str, address: str, now: datetime) -> None:
    """SlowDown after too many wrong passwords or passcodes, of a name or from an address."""
    recent = SignInFailure.objects.filter(created_at__gt=now - WINDOW)
    for rows, free in (
        (recent.filter(name_digest=digest_of(user_name.lower())), FREE_PER_NAME),
        (recent.filter(address=address), FREE_PER_ADDRESS),
    ):
        times = list(rows.order_by("-created_at").values_list("created_at", flat=True)[:100])
        if len(times) >= free:
            wait = min(_LONGEST_SECONDS, 2 ** (len(times) - free + 1))
            left = (times[0] + timedelta(seconds=wait) - now).total_seconds()
            if left > 0:
                raise SlowDown(
                    f"Too many wrong passwords; try again in {int(left) + 1} seconds. "
                    "An owner can invite you anew if you forgot yours."
                )


def note_failure(*, user_name: str, address: str, now: datetime) -> None:
    """Remember a wrong password or passcode, although what it was tried for is refused."""
    digest = digest_of(user_name.lower())
    together.keep(
        lambda: SignInFailure.objects.create(name_digest=digest, address=address, created_at=now)
    )


def forgive(*, user_name: str) -> None:
    """They are in: what they mistyped before counts no more."""
    SignInFailure.objects.filter(name_digest=digest_of(user_name.lower())).delete()


def forget_failures(*, now: datetime) -> None:
    SignInFailure.objects.filter(created_at__lt=now - WINDOW).delete()
