"""Groups of people and roles of one's own, both an organisation's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.tenancy.models import CustomRole, Group, Membership, Role
from slipway.tenancy.services import grants
from slipway.tenancy.services.people import person_in
from slipway.tenancy.services.principals import Principal, levels_of
from slipway.tenancy.services.projects import taken


def groups_of(*, organisation_id: UUID) -> list[Group]:
    rows = Group.objects.filter(organisation_id=organisation_id).prefetch_related("people")
    return list(rows.order_by("name", "pk"))


def group(*, principal: Principal, group_id: UUID) -> Group:
    found: Group = _own(Group, principal, group_id, "group")
    return found


def create_group(*, principal: Principal, name: str, people: Sequence[str]) -> Group:
    """A group of people of this organisation, by user name."""
    try:
        with transaction.atomic():
            made = Group.objects.create(organisation_id=principal.organisation_id, name=name)
            _set_people(made, principal, people)
    except IntegrityError as error:
        raise taken("group", name) from error
    return made


def rename_group(*, principal: Principal, group_id: UUID, name: str) -> Group:
    found = group(principal=principal, group_id=group_id)
    found.name = name
    try:
        with transaction.atomic():
            found.save(update_fields=["name"])
    except IntegrityError as error:
        raise taken("group", name) from error
    return found


def change_group(*, principal: Principal, group_id: UUID, people: Sequence[str]) -> Group:
    """Say anew who is in the group; who falls out loses its roles at once."""
    found = group(principal=principal, group_id=group_id)
    with transaction.atomic():
        _set_people(found, principal, people)
    return found


def delete_group(*, principal: Principal, group_id: UUID) -> None:
    _own(Group, principal, group_id, "group").delete()


def _set_people(group: Group, principal: Principal, people: Sequence[str]) -> None:
    # Whoever joins gets all the group's roles, so they must be the giver's to give.
    for row in Membership.objects.filter(group=group).select_related("custom_role"):
        principal.check_grant(levels_of(row), what="people of a group")
    group.people.set(
        [person_in(organisation_id=principal.organisation_id, user_name=name) for name in people]
    )


def roles_of(*, organisation_id: UUID) -> list[CustomRole]:
    return list(CustomRole.objects.filter(organisation_id=organisation_id).order_by("name", "pk"))


def role(*, principal: Principal, role_id: UUID) -> CustomRole:
    found: CustomRole = _own(CustomRole, principal, role_id, "role")
    return found


def create_role(*, principal: Principal, name: str, levels: Mapping[str, Any]) -> CustomRole:
    if name in Role.values:
        raise taken("role", name)
    stored = _levels(principal, levels)
    try:
        with transaction.atomic():
            return CustomRole.objects.create(
                organisation_id=principal.organisation_id, name=name, levels=stored
            )
    except IntegrityError as error:
        raise taken("role", name) from error


def change_role(*, principal: Principal, role_id: UUID, levels: Mapping[str, Any]) -> CustomRole:
    """Everyone who has the role may do so much from now on."""
    found = role(principal=principal, role_id=role_id)
    found.levels = _levels(principal, levels)
    found.save(update_fields=["levels"])
    return found


def delete_role(*, principal: Principal, role_id: UUID) -> None:
    found = role(principal=principal, role_id=role_id)
    try:
        found.delete()
    except ProtectedError as error:
        raise Conflict(
            f"The role {found.name} is in use by {len(error.protected_objects)} member(s); "
            "give them another one first."
        ) from error


def _levels(principal: Principal, given: Mapping[str, Any]) -> dict[str, str]:
    stored = grants.checked(given, field="levels")
    if "platform" in stored:
        raise Invalid(
            "No organisation gives rights on the platform.",
            Detail(field="levels.platform", rule="not in a role", fix="leave it out"),
        )
    principal.check_grant(grants.levels_of_role(Role.CUSTOM, stored), what="a role")
    return stored


def _own(model: type[Any], principal: Principal, row_id: UUID, what: str) -> Any:
    row = model.objects.filter(pk=row_id, organisation_id=principal.organisation_id).first()
    if row is None:
        raise NotFound(f"There is no such {what} in this organisation.")
    return row
