"""A whole organisation: its projects, and everybody in it."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from slipway.tenancy.models import Group, Membership, Organisation, Project, Provisioned, User


def lock_organisation(*, organisation_id: UUID) -> Organisation:
    """The organisation, locked to the end of the transaction: who else asks for it waits."""
    return Organisation.objects.select_for_update().get(pk=organisation_id)


def name_of(*, organisation_id: UUID) -> str:
    return Organisation.objects.get(pk=organisation_id).name


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
