"""Somebody who was not invited: what their account must be like, and their own organisation."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from slipway.core.errors import Conflict, Detail, Invalid
from slipway.tenancy.models import Membership, Role, User
from slipway.tenancy.services import passwords, projects


@dataclass(frozen=True, kw_only=True)
class Founded:
    """What was made; the names are those that people see."""

    user: str
    organisation: str
    organisation_id: UUID
    project: str


def known(*, email: str) -> bool:
    """Whether somebody signs in with this address."""
    return bool(User.objects.filter(username__iexact=email).exists())


def check_newcomer(*, email: str, password: str, organisation: str) -> None:
    """Invalid unless they could have such an account; does not look who has one."""
    user = User(username=email, email=email)
    try:
        User.username_validator(email)
    except ValidationError as error:
        raise Invalid(
            "This address cannot be a name to sign in with.",
            Detail(field="email", rule="letters, digits and @ . + - _", value=email,
                   fix="another address of yours"),
        ) from error  # fmt: skip
    try:
        password_validation.validate_password(password, user)
        passwords.check_words(password, [organisation])
    except ValidationError as error:
        raise Invalid(
            " ".join(error.messages),
            Detail(field="password", rule=" ".join(error.messages),
                   fix="a longer password of your own"),
        ) from error  # fmt: skip


@transaction.atomic
def found(*, email: str, password: str, organisation: str) -> Founded:
    """The account, with `password` as it is kept, and an organisation that it owns.

    Where that name is taken the organisation gets one like it. Conflict if the account exists.
    """
    try:
        with transaction.atomic():
            user = User.objects.create(username=email, email=email, password=password)
    except IntegrityError as error:
        raise Conflict("There is an account with this address already; sign in.") from error
    try:
        place = projects.create_organisation(name=organisation)
    except Conflict:
        place = projects.create_organisation(name=f"{organisation[:54]}-{secrets.token_hex(4)}")
    project = projects.create_project(organisation_id=place.pk, name="default")
    Membership.objects.create(user=user, organisation=place, role=Role.OWNER)
    return Founded(
        user=email, organisation=place.name, organisation_id=place.pk, project=project.name
    )
