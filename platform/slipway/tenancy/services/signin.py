"""Signing in with a password, slower with every wrong one."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth import authenticate

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
    code = "too_many_attempts"


def sign_in(*, user_name: str, password: str, address: str, now: datetime) -> User:
    """The person whose password this is. NotSignedIn if it is wrong, SlowDown before it is tried.

    Names and addresses are slowed apart, and names that do not exist like those that do.
    """
    digest = digest_of(user_name.lower())
    recent = SignInFailure.objects.filter(created_at__gt=now - WINDOW)
    for rows, free in (
        (recent.filter(name_digest=digest), FREE_PER_NAME),
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
    user: User | None = authenticate(username=user_name, password=password)
    if user is None:
        SignInFailure.objects.create(name_digest=digest, address=address, created_at=now)
        raise NotSignedIn("User name or password is wrong.")
    SignInFailure.objects.filter(name_digest=digest).delete()
    return user


def forget_failures(*, now: datetime) -> None:
    SignInFailure.objects.filter(created_at__lt=now - WINDOW).delete()
