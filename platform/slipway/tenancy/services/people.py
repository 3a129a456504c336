"""People and service accounts: who belongs to a project or organisation, with which role."""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from slipway.core.errors import Conflict, Detail, Invalid, NotFound
from slipway.tenancy.models import CustomRole, Group, Membership, Organisation, Project, Role, User
from slipway.tenancy.services import grants
from slipway.tenancy.services.principals import Principal, levels_of


@transaction.atomic
def ensure_member(*, user_name: str, password: str, project_id: UUID, role: str) -> User:
    """A person with this password and role in the project; makes or updates as needed."""
    user, _ = User.objects.get_or_create(username=user_name)
    if not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    Membership.objects.update_or_create(user=user, project_id=project_id, defaults={"role": role})
    return user


def somebody_administers() -> bool:
    """Whether anybody administers the platform."""
    return bool(User.objects.filter(is_superuser=True).exists())


@transaction.atomic
def first_owner(*, user_name: str, password: str, project_id: UUID) -> User:
    """The owner a fresh installation starts with; one that exists keeps their own password.

    They own the project's organisation and administer the platform.
    """
    user = User.objects.filter(username=user_name).first()
    if user is not None and somebody_administers():
        return user
    user = user or ensure_member(
        user_name=user_name, password=password, project_id=project_id, role=Role.OWNER
    )
    user.is_superuser = True
    user.save(update_fields=["is_superuser"])
    organisation = Organisation.objects.get(
        pk=Project.objects.values_list("organisation_id").get(pk=project_id)[0]
    )
    Membership.objects.get_or_create(
        user=user, organisation=organisation, defaults={"role": Role.OWNER}
    )
    return user


def members_of(principal: Principal) -> list[Membership]:
    """Who has a role in this project, by whatever way, oldest first."""
    return list(
        Membership.objects.filter(
            Q(project_id=principal.project_id) | Q(organisation_id=principal.organisation_id)
        )
        .select_related("user", "group", "custom_role")
        .order_by("created_at", "pk")
    )


def role_named(
    *, organisation_id: UUID, name: str, beyond: bool = False
) -> tuple[str, CustomRole | None]:
    """A ready-made role or one of the organisation's own, by name; Invalid if there is none.

    `beyond` allows the role `admin`, which only makes sense for keys of whole organisations.
    """
    ready = [role for role in Role.values if role not in {Role.CUSTOM, Role.ADMIN}]
    if name in ready or (beyond and name == Role.ADMIN):
        return name, None
    own = CustomRole.objects.filter(organisation_id=organisation_id, name=name).first()
    if own is None:
        raise Invalid(
            f"There is no role {name!r}.",
            Detail(field="role", rule="a ready-made role or one of this organisation", value=name,
                   fix=", ".join(ready)),
        )  # fmt: skip
    return Role.CUSTOM, own


def add_member(
    *,
    principal: Principal,
    role: str,
    user_name: str = "",
    group_id: UUID | None = None,
    everywhere: bool = False,
) -> Membership:
    """Give a person of this organisation, or one of its groups, a role here.

    `everywhere` gives it in the whole organisation. Who is not in the organisation yet has to be
    invited: whether a stranger has an account is nobody's business.
    """
    if bool(user_name) == (group_id is not None):
        raise Invalid("Name a person or a group.", Detail(field="user", rule="user or group"))
    named, own = role_named(organisation_id=principal.organisation_id, name=role)
    place = (
        {"organisation_id": principal.organisation_id}
        if everywhere
        else {"project_id": principal.project_id}
    )
    row = Membership(role=named, custom_role=own, **place)
    if group_id is not None:
        row.group = Group.objects.filter(
            pk=group_id, organisation_id=principal.organisation_id
        ).first()
        if row.group is None:
            raise NotFound("There is no such group in this organisation.")
    else:
        row.user = person_in(organisation_id=principal.organisation_id, user_name=user_name)
    principal.check_grant(levels_of(row), what="a member")
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict("They have a role there already; change that one instead.") from error
    return row


def person_in(*, organisation_id: UUID, user_name: str) -> User:
    """A person with any role in the organisation; NotFound for everybody else."""
    here = Membership.objects.filter(
        Q(organisation_id=organisation_id) | Q(project__organisation_id=organisation_id)
    )
    user = (
        User.objects.filter(username=user_name, serves=None)
        .filter(Q(pk__in=here.values("user_id")) | Q(pk__in=here.values("group__people")))
        .first()
    )
    if user is None:
        raise NotFound(f"Nobody called {user_name!r} belongs to this organisation; invite them.")
    return user


def change_member(*, principal: Principal, member_id: UUID, role: str) -> Membership:
    row = member(principal, member_id)
    principal.check_grant(levels_of(row), what="a member")
    named, own = role_named(organisation_id=principal.organisation_id, name=role)
    was_owner = row.role == Role.OWNER
    row.role, row.custom_role = named, own
    principal.check_grant(levels_of(row), what="a member")
    with transaction.atomic():
        _lock_place(row)
        row.save(update_fields=["role", "custom_role"])
        if was_owner:
            _check_owner_left(row)
    return row


def remove_member(*, principal: Principal, member_id: UUID) -> None:
    """They lose this role at once, and their keys with it."""
    row = member(principal, member_id)
    principal.check_grant(levels_of(row), what="a member")
    leave(row)


@transaction.atomic
def leave(row: Membership) -> None:
    """End a role; Conflict where nobody would own the place any more."""
    _lock_place(row)
    Membership.objects.filter(pk=row.pk).delete()
    if row.role == Role.OWNER:
        _check_owner_left(row)


def member(principal: Principal, member_id: UUID) -> Membership:
    """A role somebody has in this project, or in all of its organisation; NotFound otherwise."""
    row = next((row for row in members_of(principal) if row.pk == member_id), None)
    if row is None:
        raise NotFound("There is no such member here.")
    return row


def _lock_place(row: Membership) -> None:
    """Of two owners who leave at once, the second then sees that the first is gone."""
    place, key = (
        (Project, row.project_id) if row.project_id else (Organisation, row.organisation_id)
    )
    place.objects.select_for_update().get(pk=key)


def _check_owner_left(row: Membership) -> None:
    place = {"project_id": row.project_id, "organisation_id": row.organisation_id}
    if not Membership.objects.filter(role=Role.OWNER, **place).exists():
        raise Conflict("Nobody would own this any more; make somebody else owner first.")


def create_service_account(*, principal: Principal, name: str, role: str) -> Membership:
    """A member that is no person: it has a role of its own, and keys that act with it."""
    named, own = role_named(organisation_id=principal.organisation_id, name=role)
    levels = grants.levels_of_role(named, own.levels if own else None)
    principal.check_grant(levels, what="a service account")
    user = User(username=f"{name}@{principal.project_id}", serves_id=principal.project_id)
    user.first_name = name
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save()
            return Membership.objects.create(
                user=user, project_id=principal.project_id, role=named, custom_role=own
            )
    except IntegrityError as error:
        raise Conflict(f"There is a service account {name} already.") from error


def service_accounts_of(*, project_id: UUID) -> list[Membership]:
    rows = Membership.objects.filter(user__serves_id=project_id, user__is_active=True)
    return list(rows.select_related("user", "custom_role").order_by("created_at", "pk"))


def retire_service_account(*, principal: Principal, account_id: int) -> None:
    """Its keys stop working; what it made stays."""
    user = User.objects.filter(pk=account_id, serves_id=principal.project_id, is_active=True)
    if not user.update(is_active=False):
        raise NotFound("There is no such service account in this project.")
