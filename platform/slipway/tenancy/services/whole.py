"""A whole organisation: its projects, and everybody in it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from slipway.tenancy.models import (
    ApiKey,
    Group,
    Membership,
    Organisation,
    Project,
    Provisioned,
    ScimToken,
    User,
)


def lock_organisation(*, organisation_id: UUID) -> Organisation:
    """The organisation, locked to the end of the transaction: who else asks for it waits."""
    return Organisation.objects.select_for_update().get(pk=organisation_id)


def name_of(*, organisation_id: UUID) -> str:
    return Organisation.objects.get(pk=organisation_id).name


def everyone() -> list[tuple[UUID, str]]:
    """Id and name of every organisation, oldest first."""
    rows = Organisation.objects.order_by("created_at", "pk")
    return list(rows.values_list("pk", "name"))


def project_ids(*, organisation_id: UUID) -> list[UUID]:
    """All its projects, those in the bin too."""
    rows = Project.objects.filter(organisation_id=organisation_id).order_by("pk")
    return list(rows.values_list("pk", flat=True))


def people_of(*, organisation_id: UUID) -> QuerySet[User]:
    """Everybody with a role in it, by themselves or in a group; service accounts too."""
    projects = project_ids(organisation_id=organisation_id)
    here = Membership.objects.filter(Q(organisation_id=organisation_id) | Q(project__in=projects))
    groups = Group.objects.filter(organisation_id=organisation_id).values("pk")
    provisioned = Provisioned.objects.filter(organisation_id=organisation_id)
    return User.objects.filter(
        Q(pk__in=here.exclude(user=None).values("user_id"))
        | Q(pk__in=Group.people.through.objects.filter(group_id__in=groups).values("user_id"))
        | Q(pk__in=provisioned.values("user_id"))
        | Q(serves__in=projects)
    ).order_by("pk")


def is_last(*, organisation_id: UUID) -> bool:
    """Whether no other organisation has a project that is not in the bin."""
    others = Project.objects.exclude(organisation_id=organisation_id)
    return not others.filter(archived_at=None).exists()


def end_keys(*, organisation_id: UUID, now: datetime) -> None:
    """No program comes in for it any more: neither by key nor as its directory."""
    projects = project_ids(organisation_id=organisation_id)
    ApiKey.objects.filter(project__in=projects, revoked_at=None).update(revoked_at=now)
    ScimToken.objects.filter(organisation_id=organisation_id).update(expires_at=now)


def only_here(*, organisation_id: UUID, most: int) -> list[User]:
    """Some of its people whom nobody else knows and who do not administer the platform."""
    projects = project_ids(organisation_id=organisation_id)
    found = people_of(organisation_id=organisation_id).filter(is_superuser=False)
    found = found.exclude(
        Q(pk__in=Membership.objects.filter(
            Q(project__isnull=False) & ~Q(project__in=projects)
            | Q(organisation__isnull=False) & ~Q(organisation_id=organisation_id),
            user__isnull=False,
        ).values("user_id"))
        | Q(pk__in=Group.people.through.objects.exclude(
            group__organisation_id=organisation_id).values("user_id"))
        | Q(pk__in=Provisioned.objects.exclude(organisation_id=organisation_id).values("user_id"))
        | Q(pk__in=ApiKey.objects.exclude(project__in=projects).values("made_by_id"))
    )  # fmt: skip
    return list(found[:most])


def remove_people(users: Sequence[User]) -> None:
    """Accounts with all that is theirs: roles, sessions, factors."""
    User.objects.filter(pk__in=[user.pk for user in users]).delete()


@transaction.atomic
def bury(*, organisation_id: UUID, now: datetime) -> None:
    """What the books are kept under: the organisation and its projects, without their names."""
    nobody = f"gone-{secrets.token_hex(6)}"
    here = Organisation.objects.filter(pk=organisation_id)
    here.update(name=nobody, requires_sign_on=False, requires_second_factor=False)
    for number, project_id in enumerate(project_ids(organisation_id=organisation_id), 1):
        project = Project.objects.filter(pk=project_id)
        project.update(name=f"{nobody}-{number}", archived_at=now)
