"""What belongs to a person themself: their sessions, seen and ended, and their password."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from slipway.core import together
from slipway.core.errors import Conflict, Detail, Invalid, NotFound, NotSignedIn
from slipway.tenancy.models import Identity, IdentityProvider, SignedIn, User
from slipway.tenancy.services import signin

#: Where a session keeps the id of its row.
SESSION = "signed_in"
#: A session is noted as seen so often at most.
_NOTE_EVERY = timedelta(minutes=1)


def begin(
    *, user: User, address: str, agent: str, now: datetime, instead_of: str | None = None
) -> UUID:
    """Note a session that begins, or begins anew; returns what it is to keep as `SESSION`."""
    SignedIn.objects.filter(pk=instead_of, user=user).delete()
    row = SignedIn.objects.create(
        user=user, address=address[:45], agent=agent[:300], seen_at=now, created_at=now
    )
    return row.pk


def look(*, session_id: str | None, user: User, now: datetime) -> None:
    """NotSignedIn if it was ended by its person, or lay idle too long; notes that it was seen.

    Sessions that keep no id are of before there were any, and end by themselves.
    """
    if session_id is None:
        return
    row = SignedIn.objects.filter(pk=session_id, user=user).first()
    if row is None:
        raise NotSignedIn("This session was ended; sign in again.")
    if row.seen_at < _idle_since(now):
        raise NotSignedIn("This session lay idle for too long; sign in again.")
    if now - row.seen_at > _NOTE_EVERY:
        SignedIn.objects.filter(pk=row.pk).update(seen_at=now)


def sessions_of(*, user: User, now: datetime) -> list[SignedIn]:
    """Those that may still be in use, the last seen first."""
    begun = now - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    seen = _idle_since(now)
    rows = SignedIn.objects.filter(user=user, created_at__gt=begun, seen_at__gte=seen)
    return list(rows.order_by("-seen_at", "pk"))


def end(*, user: User, session_id: UUID) -> None:
    """End one session of this person; NotFound if it is none of theirs."""
    if not SignedIn.objects.filter(pk=session_id, user=user).delete()[0]:
        raise NotFound("You have no such session.")


def end_here(*, session_id: str | None) -> None:
    """The session that asks signs out."""
    SignedIn.objects.filter(pk=session_id).delete()


def end_others(*, user: User, but: str | None) -> None:
    """End all sessions of this person except the one that asks."""
    SignedIn.objects.filter(user=user).exclude(pk=but).delete()


def change_password(
    *, user: User, password: str, new_password: str, address: str, now: datetime
) -> None:
    """Give a person another password.

    Invalid where it is too weak, NotSignedIn if `password` is not the one they have, SlowDown after
    too many of those, Conflict for who signs in through a provider and has none here.
    """
    if not user.has_usable_password():
        raise Conflict("Your password is your identity provider's; change it there.")
    signin.sign_in(user_name=user.username, password=password, address=address, now=now)
    check_new(user=user, new_password=new_password, field="new_password")
    together.begin()
    with transaction.atomic():
        user.set_password(new_password)
        user.save(update_fields=["password"])
    signin.forgive(user_name=user.username)


def check_new(*, user: User, new_password: str, field: str) -> None:
    """Invalid where this password is too weak for this person."""
    try:
        password_validation.validate_password(new_password, user)
    except ValidationError as error:
        raise Invalid(
            " ".join(error.messages),
            Detail(field=field, rule=" ".join(error.messages),
                   fix="a longer password of your own"),
        ) from error  # fmt: skip


def with_address(*, email: str) -> User | None:
    """Who has proved this address and signs in with a password of their own."""
    user = User.objects.filter(proved_email__iexact=email, is_active=True, serves=None).first()
    return user if user is not None and user.has_usable_password() else None


def note_address(*, user: User, email: str) -> None:
    """They have answered a letter to this address; whoever had proved it before has it no more."""
    with transaction.atomic():
        User.objects.filter(proved_email__iexact=email).update(proved_email="")
        User.objects.filter(pk=user.pk).update(email=email, proved_email=email)


def reset_password(*, user: User, new_password: str) -> None:
    """Another password for who forgot theirs; all their sessions end. Invalid if it is too weak.

    A second factor is still asked for when they sign in with it.
    """
    check_new(user=user, new_password=new_password, field="password")
    with transaction.atomic():
        user.set_password(new_password)
        user.save(update_fields=["password"])
        SignedIn.objects.filter(user=user).delete()
    signin.forgive(user_name=user.username)


def providers_of(*, user: User) -> list[IdentityProvider]:
    """Identity providers that answered for this person, and may again."""
    rows = Identity.objects.filter(user=user, provider__enabled=True).select_related("provider")
    return [row.provider for row in rows.order_by("created_at", "pk")]


def forget_sessions(*, now: datetime) -> None:
    """Rows of sessions that are over, by their age or for lying idle."""
    begun = now - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    over = Q(created_at__lt=begun) | Q(seen_at__lt=_idle_since(now))
    SignedIn.objects.filter(over).delete()


def _idle_since(now: datetime) -> datetime:
    return now - timedelta(seconds=settings.SESSION_IDLE)
