"""Tokens that let a directory provision people and groups of one organisation."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from slipway.core.errors import NotFound
from slipway.tenancy.models import Membership, Project, Role, ScimToken
from slipway.tenancy.services.grants import Level
from slipway.tenancy.services.keys import digest_of
from slipway.tenancy.services.principals import Principal, levels_of

PREFIX = "scim-slip-"
#: A token's last use is written this often at most.
_NOTED = timedelta(minutes=1)


def tokens_of(*, organisation_id: UUID) -> list[ScimToken]:
    rows = ScimToken.objects.filter(organisation_id=organisation_id)
    return list(rows.order_by("created_at", "pk"))


def issue(*, principal: Principal, name: str, expires_at: datetime | None) -> tuple[ScimToken, str]:
    """A new token and its secret, which is never to be seen again.

    Who has it decides who is in every group, so only who owns the whole organisation may make one.
    """
    owner = Membership(role=Role.OWNER, organisation_id=principal.organisation_id)
    principal.check_grant(levels_of(owner), what="a directory")
    secret = PREFIX + secrets.token_urlsafe(32)
    row = ScimToken.objects.create(
        organisation_id=principal.organisation_id,
        name=name,
        digest=digest_of(secret),
        redacted=f"{secret[:14]}…{secret[-4:]}",
        expires_at=expires_at,
    )
    return row, secret


def withdraw(*, principal: Principal, token_id: UUID) -> None:
    """It stops working at once."""
    mine = ScimToken.objects.filter(pk=token_id, organisation_id=principal.organisation_id)
    if not mine.delete()[0]:
        raise NotFound("There is no such SCIM token in this organisation.")


def check(*, secret: str, now: datetime) -> Principal | None:
    """Who has the token: the directory of an organisation. None if it is unknown or expired."""
    if not secret.startswith(PREFIX):
        return None
    alive = Q(expires_at=None) | Q(expires_at__gt=now)
    row = ScimToken.objects.filter(alive, digest=digest_of(secret)).first()
    if row is None:
        return None
    place = (
        Project.objects.filter(organisation_id=row.organisation_id)
        .order_by("created_at", "pk")
        .first()
    )
    if place is None:
        return None
    if row.last_used_at is None or row.last_used_at < now - _NOTED:
        ScimToken.objects.filter(pk=row.pk).update(last_used_at=now)
    return Principal(
        project_id=place.pk,
        organisation_id=row.organisation_id,
        role=Role.CUSTOM,
        user_id=0,
        user_name=f"scim:{row.name}",
        levels={"organisation": Level.FULL},
        key_id=row.pk,
    )
