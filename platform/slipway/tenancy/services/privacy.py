"""What is known of a person: all of it told, or all of it forgotten."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import transaction

from slipway.core.errors import NotFound
from slipway.tenancy.models import (
    ApiKey,
    Factor,
    Group,
    Identity,
    Invite,
    Membership,
    Provisioned,
    RecoveryCode,
    Role,
    SignedIn,
    SignInFailure,
    User,
)
from slipway.tenancy.services import people
from slipway.tenancy.services.keys import digest_of

#: Columns, in whatever table, that name whoever did something.
_NAMES = frozenset({"made_by", "asked_by", "answered_by", "user_name"})


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that accounts hold of one person; secrets, of which only digests are kept, left out."""

    user: User
    memberships: Sequence[Membership]
    groups: Sequence[Group]
    identities: Sequence[Identity]
    provisioned: Sequence[Provisioned]
    sessions: Sequence[SignedIn]
    factors: Sequence[Factor]
    keys: Sequence[ApiKey]


def known_of(*, user: User) -> Known:
    """What is told to whoever it is about."""

    def own(model: Any, *related: str, **where: Any) -> list[Any]:
        rows = model.objects.filter(**(where or {"user": user}))
        return list((rows.select_related(*related) if related else rows).order_by("pk"))

    return Known(
        user=user,
        memberships=own(Membership, "project", "organisation", "custom_role"),
        groups=own(Group, people=user),
        identities=own(Identity, "provider"),
        provisioned=own(Provisioned),
        sessions=own(SignedIn),
        factors=own(Factor),
        keys=own(ApiKey, made_by=user),
    )


def person(*, user_name: str) -> User:
    """NotFound if nobody, or a service account, is called so."""
    user = User.objects.filter(username=user_name, serves=None).first()
    if user is None:
        raise NotFound(f"There is nobody called {user_name!r}.")
    return user


@transaction.atomic
def forget(*, user_name: str, now: datetime) -> str:
    """End a person's account and take their name off everything; returns what stands there now.

    What they made stays, their keys end. Conflict while they alone own something. The audit log
    keeps their name: that it cannot be changed is what it is for.
    """
    user = person(user_name=user_name)
    for row in Membership.objects.filter(user=user, role=Role.OWNER).order_by("pk"):
        people.leave(row)
    nobody = f"gone-{secrets.token_hex(6)}"
    for model in (Membership, Identity, Provisioned, SignedIn, Factor, RecoveryCode):
        model.objects.filter(user=user).delete()
    for group in Group.objects.filter(people=user).order_by("pk"):
        group.people.remove(user)
    ApiKey.objects.filter(made_by=user, revoked_at=None).update(revoked_at=now)
    if user.email:
        Invite.objects.filter(email__iexact=user.email).delete()
    SignInFailure.objects.filter(name_digest=digest_of(user_name.lower())).delete()
    # What a directory of another organisation calls somebody is that person's, not this one's.
    for model in (each for each in apps.get_models() if each is not Provisioned):
        for column in model._meta.concrete_fields:
            if column.name in _NAMES and not column.is_relation:
                rows = model._default_manager.filter(**{column.name: user_name})
                rows.update(**{column.name: nobody})
    user.username, user.email, user.first_name, user.last_name = nobody, "", "", ""
    user.proved_email = ""
    user.is_active = user.is_superuser = False
    user.last_login = None
    user.set_unusable_password()
    user.save()
    return nobody
