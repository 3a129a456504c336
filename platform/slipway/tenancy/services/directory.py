"""Who and what an organisation has, as facts: people with their roles, keys, accounts, invites."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from slipway.core.errors import Conflict, NotFound
from slipway.tenancy.models import ApiKey, Group, Invite, Membership, Project, Role, User
from slipway.tenancy.services import invites, keys, people, projects
from slipway.tenancy.services.grants import Level
from slipway.tenancy.services.principals import Principal, principal_in

_OLDEST = ("created_at", "pk")


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person, or a service account, with the role it has in the place that was asked about."""

    id: int
    name: str
    email: str
    added_at: datetime
    #: A ready-made role, or the name of the organisation's own; empty where there is none.
    role: str
    #: The row that gives the role, where one row does.
    member_id: UUID | None = None
    is_program: bool = False
    #: Projects by id, each with its name and the role there.
    projects: dict[UUID, tuple[str, str]] = field(default_factory=dict)
    last_used_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class KeyEntry:
    """A key that was not revoked, without its secret."""

    id: UUID
    project_id: UUID
    name: str
    role: str
    redacted: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    owner: Person
    #: Whether its owner may still do anything in its project.
    in_force: bool


@dataclass(frozen=True, kw_only=True)
class InviteEntry:
    id: UUID
    project_id: UUID
    email: str
    role: str
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class GroupEntry:
    id: UUID
    name: str
    created_at: datetime
    people: tuple[Person, ...]


def elsewhere(*, principal: Principal, project_id: UUID) -> Principal:
    """The same credential in another project of its organisation; NotFound if there is none."""
    project = projects.own_project(principal=principal, project_id=project_id)
    if project.archived_at is not None:
        raise Conflict("This project is archived; nothing in it can be changed.")
    user = User.objects.get(pk=principal.user_id)
    scopes = keys.scopes_of(key_id=principal.key_id) if principal.key_id else None
    return principal_in(user=user, project=project, key_id=principal.key_id, scopes=scopes)


# People


def people_of(*, organisation_id: UUID) -> list[Person]:
    """Everybody with any role in the organisation, oldest first; `role` is that in all of it."""
    here = Membership.objects.filter(
        Q(organisation_id=organisation_id) | Q(project__organisation_id=organisation_id)
    ).select_related("user", "project", "custom_role")
    rows: dict[int, list[Membership]] = {}
    for row in here.filter(user__serves=None, user__is_active=True).order_by("created_at", "pk"):
        rows.setdefault(row.user_id, []).append(row)
    found = []
    for mine in rows.values():
        everywhere = next((row for row in mine if row.organisation_id), None)
        found.append(
            _person(
                mine[0].user,
                added_at=mine[0].created_at,
                role=everywhere.role_name if everywhere else "",
                member_id=everywhere.pk if everywhere else None,
                projects={
                    row.project_id: (row.project.name, row.role_name)
                    for row in mine
                    if row.project_id
                },
            )
        )
    return found


def able_in(*, project_id: UUID) -> list[tuple[str, Principal]]:
    """Mail address and rights in a project of every person who has both."""
    project = Project.objects.select_related("organisation").get(pk=project_id)
    roles = Membership.objects.filter(
        Q(project=project) | Q(organisation_id=project.organisation_id)
    )
    people = User.objects.filter(
        Q(pk__in=roles.exclude(user=None).values("user_id"))
        | Q(pk__in=roles.exclude(group__people=None).values("group__people")),
        serves=None,
        is_active=True,
    ).exclude(email="")
    return [
        (user.email, principal_in(user=user, project=project)) for user in people.order_by("pk")
    ]


def members_of_project(*, project_id: UUID) -> list[Person]:
    """People with a role of their own in the project, oldest first."""
    rows = Membership.objects.filter(project_id=project_id, user__serves=None).exclude(user=None)
    return [_member(row) for row in rows.select_related("user", "custom_role").order_by(*_OLDEST)]


def accounts_of(*, project_id: UUID) -> list[Person]:
    """Service accounts of the project, oldest first."""
    return [_member(row) for row in people.service_accounts_of(project_id=project_id)]


def _member(row: Membership) -> Person:
    return _person(row.user, added_at=row.created_at, role=row.role_name, member_id=row.pk)


def _person(
    user: User,
    *,
    added_at: datetime,
    role: str = "",
    member_id: UUID | None = None,
    projects: dict[UUID, tuple[str, str]] | None = None,
) -> Person:
    return Person(
        id=user.pk,
        name=user.first_name if user.serves_id else user.username,
        email=user.email,
        added_at=added_at,
        role=role,
        member_id=member_id,
        is_program=user.serves_id is not None,
        projects=projects or {},
    )


def set_owner(*, principal: Principal, user_id: int, owner: bool) -> None:
    """Make a person owner of the whole organisation, or a reader of it if they were."""
    person = _in_organisation(principal, user_id)
    if person.member_id is not None:
        people.change_member(
            principal=principal,
            member_id=person.member_id,
            role=Role.OWNER if owner else Role.READER,
        )
    elif owner:
        people.add_member(
            principal=principal, user_name=person.name, role=Role.OWNER, everywhere=True
        )


def remove_from_organisation(*, principal: Principal, user_id: int) -> None:
    """They lose every role in the organisation, and their keys with it; Conflict for its last
    owner."""
    _in_organisation(principal, user_id)
    with transaction.atomic():
        for group in Group.objects.filter(
            organisation_id=principal.organisation_id, people=user_id
        ):
            group.people.remove(user_id)
        rows = Membership.objects.filter(
            Q(organisation_id=principal.organisation_id)
            | Q(project__organisation_id=principal.organisation_id),
            user_id=user_id,
        ).select_related("project", "custom_role")
        for row in rows:
            place = _place(principal, row.project_id)
            people.remove_member(principal=place, member_id=row.pk)


def _place(principal: Principal, project_id: UUID | None) -> Principal:
    if project_id is None or project_id == principal.project_id:
        return principal
    return elsewhere(principal=principal, project_id=project_id)


def _in_organisation(principal: Principal, user_id: int) -> Person:
    for person in people_of(organisation_id=principal.organisation_id):
        if person.id == user_id:
            return person
    raise NotFound("There is no such person in this organisation.")


def change_account(
    *, principal: Principal, account_id: int, name: str | None, role: str | None
) -> None:
    """Rename a service account of the principal's project, or give it another role."""
    row = next(
        (
            row
            for row in people.service_accounts_of(project_id=principal.project_id)
            if row.user_id == account_id
        ),
        None,
    )
    if row is None:
        raise NotFound("There is no such service account in this project.")
    if role is not None:
        people.change_member(principal=principal, member_id=row.pk, role=role)
    if name is not None:
        User.objects.filter(pk=account_id).update(first_name=name)


# Keys


def keys_of(
    *,
    organisation_id: UUID,
    project_id: UUID | None = None,
    admin: bool = False,
) -> list[KeyEntry]:
    """Keys not revoked: those of a project, or those that act for the whole organisation."""
    rows = ApiKey.objects.filter(project__organisation_id=organisation_id, revoked_at=None)
    rows = rows.filter(role=Role.ADMIN) if admin else rows.exclude(role=Role.ADMIN)
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    return [_key(row) for row in rows.select_related("made_by", "project").order_by(*_OLDEST)]


def _key(row: ApiKey) -> KeyEntry:
    acts = principal_in(user=row.made_by, project=row.project)
    owner = row.made_by
    return KeyEntry(
        id=row.pk,
        project_id=row.project_id,
        name=row.name,
        role=row.role,
        redacted=row.redacted,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        owner=_person(owner, added_at=owner.date_joined, role=acts.role),
        in_force=owner.is_active and any(level > Level.NONE for level in acts.levels.values()),
    )


def users_of_keys(*, key_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Keys, revoked ones too, to whom they act as."""
    return dict(ApiKey.objects.filter(pk__in=set(key_ids)).values_list("pk", "made_by_id"))


# Invites and groups


def invites_of(*, organisation_id: UUID) -> list[InviteEntry]:
    """Every invite into a project of the organisation, accepted and expired ones too."""
    rows = Invite.objects.filter(project__organisation_id=organisation_id)
    return [
        InviteEntry(
            id=row.pk,
            project_id=row.project_id,
            email=row.email,
            role=row.role_name,
            created_at=row.created_at,
            expires_at=row.expires_at,
            accepted_at=row.accepted_at,
        )
        for row in rows.select_related("custom_role").order_by(*_OLDEST)
    ]


def withdraw_invite(*, principal: Principal, invite_id: UUID) -> None:
    """Of any project of the organisation."""
    for entry in invites_of(organisation_id=principal.organisation_id):
        if entry.id == invite_id:
            place = _place(principal, entry.project_id)
            invites.withdraw(principal=place, invite_id=invite_id)
            return
    raise NotFound("There is no such invite in this organisation.")


def groups_of(*, organisation_id: UUID) -> list[GroupEntry]:
    """Oldest first."""
    rows = Group.objects.filter(organisation_id=organisation_id).prefetch_related("people")
    return [_group(row) for row in rows.order_by(*_OLDEST)]


def _group(row: Group) -> GroupEntry:
    everybody = sorted(row.people.all(), key=lambda user: user.pk)
    return GroupEntry(
        id=row.pk,
        name=row.name,
        created_at=row.created_at,
        people=tuple(_person(user, added_at=row.created_at) for user in everybody),
    )
