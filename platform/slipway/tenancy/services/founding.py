"""A new account: what it must be like; and the organisation of somebody who was not invited."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from slipway.core.errors import Conflict, Detail, Invalid
from slipway.editions import services as editions
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
    _check(User(username=email, email=email), password, field="email", words=[organisation])


def _check(user: User, password: str, *, field: str, words: Iterable[str] = ()) -> None:
    try:
        User.username_validator(user.username)
    except ValidationError as error:
        raise Invalid(
            "This cannot be a name to sign in with.",
            Detail(field=field, rule="letters, digits and @ . + - _", value=user.username,
                   fix="another one"),
        ) from error  # fmt: skip
    try:
        password_validation.validate_password(password, user)
        passwords.check_words(password, words)
    except ValidationError as error:
        raise Invalid(
            " ".join(error.messages),
            Detail(field="password", rule=" ".join(error.messages),
                   fix="a longer password of your own"),
        ) from error  # fmt: skip


def new_person(*, user_name: str, password: str, email: str) -> User:
    """An account; Invalid for a name or password that will not do, Conflict for a taken name."""
    user = User(username=user_name, email=email)
    _check(user, password, field="user")
    user.set_password(password)
    people = User.objects.filter(serves=None, is_active=True).count()
    editions.check_room(what="seats", used=people + 1)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise Conflict("That name was taken this moment; choose another.") from error
    return user


@transaction.atomic
def found(*, email: str, password: str, organisation: str) -> Founded:
    """The account, with `password` as it is kept, and an organisation that it owns.

    Where that name is taken the organisation gets one like it. Conflict if the account exists.
    """
    try:
        with transaction.atomic():
            user = User.objects.create(
                username=email, email=email, proved_email=email, password=password
            )
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
