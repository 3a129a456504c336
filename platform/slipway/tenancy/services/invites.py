"""Invites: a token, shown once, that lets one person into a project."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from slipway.core import together
from slipway.core.errors import Detail, Invalid, NotFound
from slipway.editions import services as editions
from slipway.tenancy.models import Invite, Membership, Role, User
from slipway.tenancy.services import founding, grants, keys, signin
from slipway.tenancy.services.people import role_named
from slipway.tenancy.services.principals import Principal

VALID_FOR = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class IssuedInvite:
    """A new invite with its token, which is never to be seen again."""

    invite: Invite
    token: str


def invite(*, principal: Principal, email: str, role: str, now: datetime) -> IssuedInvite:
    """A token that lets its bearer into this project with the role, within a week."""
    named, own = role_named(organisation_id=principal.organisation_id, name=role)
    levels = grants.levels_of_role(named, own.levels if own else None)
    principal.check_grant(levels, what="an invited person")
    token = secrets.token_urlsafe(32)
    row = Invite.objects.create(
        project_id=principal.project_id,
        email=email,
        role=named,
        custom_role=own,
        invited_by_id=principal.user_id,
        digest=keys.digest_of(token),
        expires_at=now + VALID_FOR,
    )
    return IssuedInvite(invite=row, token=token)


def withdraw(*, principal: Principal, invite_id: UUID) -> None:
    waiting = Invite.objects.filter(pk=invite_id, project_id=principal.project_id, accepted_at=None)
    if not waiting.delete()[0]:
        raise NotFound("There is no such invite waiting in this project.")


def accept(*, token: str, user_name: str, password: str, address: str, now: datetime) -> User:
    """Make the account (or, with its password, use one that is there) and let it in.

    NotFound for a token that is unknown, used or too old, Invalid for a mail address as name.
    """
    waiting_for = Invite.objects.filter(
        digest=keys.digest_of(token), accepted_at=None, expires_at__gt=now
    )
    if not waiting_for.exists():
        raise _unknown()
    user = User.objects.filter(username=user_name, serves=None).first()
    if user is not None:
        # The same slow way as signing in, so that an invite is no way to guess passwords; before
        # the transaction, so that a wrong guess stays noted.
        user = signin.sign_in(user_name=user_name, password=password, address=address, now=now)
        signin.forgive(user_name=user_name)
    together.begin()
    with transaction.atomic():
        row = waiting_for.select_for_update(of=("self",)).first()
        if row is None:
            raise _unknown()
        if user is None:
            _check_name(user_name)
        user = user or founding.new_person(user_name=user_name, password=password, email=row.email)
        Membership.objects.get_or_create(
            user=user,
            project_id=row.project_id,
            defaults={"role": row.role, "custom_role_id": row.custom_role_id},
        )
        Invite.objects.filter(pk=row.pk).update(accepted_at=now)
    return user


def _check_name(user_name: str) -> None:
    """Where people sign up by themselves, a mail address is the name of who reads it.

    Whoever invites has the token too, so that an invite proves no address.
    """
    if "@" in user_name and editions.may_sign_up():
        raise Invalid(
            "A name with @ is kept for whoever signs up with that address.",
            Detail(field="user", rule="no @", value=user_name, fix="a name without @"),
        )


def _unknown() -> NotFound:
    return NotFound("This invite is unknown, used or too old; ask for a new one.")


def waiting(*, project_id: UUID):  # type: ignore[no-untyped-def]  # Django's queryset types are not installed
    """Invites nobody accepted yet, as a query."""
    rows = Invite.objects.filter(project_id=project_id, accepted_at=None)
    return rows.select_related("invited_by", "custom_role").exclude(role=Role.ADMIN)
