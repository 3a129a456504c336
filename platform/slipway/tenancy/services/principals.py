"""Who is asking: one project, and what the person or key behind the request may do there now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.db.models import Q

from slipway.core.errors import Forbidden, Refused
from slipway.tenancy.models import Membership, Project, Role, User
from slipway.tenancy.services import entry, grants
from slipway.tenancy.services.grants import Level, Levels

_ORDER = (Role.ADMIN, Role.OWNER, Role.OPERATOR, Role.READER)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who is asking: one project, what the credential may do there, and who stands behind it."""

    project_id: UUID
    organisation_id: UUID
    #: The nearest ready-made role, for eyes; `levels` is what counts.
    role: str
    user_id: int
    user_name: str
    levels: Mapping[str, Level] = field(default_factory=dict)
    key_id: UUID | None = None
    #: What its session has shown of the person; None for keys.
    shown: entry.Shown | None = None

    #: DRF asks its `request.user` this.
    is_authenticated: bool = True

    def allows(self, module: str, level: Level) -> bool:
        return self.levels.get(module, Level.NONE) >= level

    def check_reach(self, module: str, level: Level) -> None:
        """Forbidden if this principal may not do things of `level` in `module`."""
        if not self.allows(module, level):
            raise Forbidden(f"This needs {module}: {level.name.lower()}, which you do not have.")

    def check_grant(self, wanted: Levels, *, what: str) -> None:
        """Forbidden if `wanted` goes beyond what this principal may do itself."""
        if beyond := grants.excess(wanted, self.levels):
            raise Forbidden(
                f"You, {self.user_name} ({self.role}), cannot give {what} more than you may do "
                f"yourself. Too much: {'; '.join(beyond)}."
            )


def nearest_role(levels: Levels) -> str:
    """The highest ready-made role wholly contained in the levels; `custom` if none is."""
    return next(
        (role for role in _ORDER if not grants.excess(grants.levels_of_role(role), levels)),
        Role.CUSTOM,
    )


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One reason why somebody may do something, in words, with what it allows."""

    because: str
    levels: Levels


def grants_of(*, user: User, project: Project) -> list[Grant]:
    """Every grant a person or service account has in a project, whatever it hangs on."""
    found = [
        Grant(because=_because(row), levels=levels_of(row))
        for row in Membership.objects.filter(
            Q(user=user) | Q(group__people=user),
            Q(project=project) | Q(organisation_id=project.organisation_id),
        )
        .select_related("group", "custom_role")
        .order_by("created_at", "pk")
    ]
    if user.is_superuser:
        every = grants.levels_of_role(Role.ADMIN)
        found.append(Grant(because="is an administrator of the platform", levels=every))
    return found


def levels_of(row: Membership) -> Levels:
    custom = row.custom_role.levels if row.custom_role else None
    return levels_given(row.role, custom, whole=row.organisation_id is not None)


def levels_given(role: str, custom: Mapping[str, str] | None, *, whole: bool) -> Levels:
    """What a membership allows: in the `whole` organisation, or in one project."""
    levels = grants.levels_of_role(role, custom)
    if not whole:
        # What is given in one project never reaches beyond it.
        return {k: v for k, v in levels.items() if k not in grants.BEYOND_PROJECT}
    if role in {Role.OWNER, Role.ADMIN}:
        return {**levels, "organisation": Level.FULL, "platform": Level.NONE}
    return {k: v for k, v in levels.items() if k != "platform"}


def _because(row: Membership) -> str:
    role = f"the role {row.role_name}"
    where = "the project" if row.project_id else "the whole organisation"
    through = f" through the group {row.group.name}" if row.group else ""
    return f"has {role} in {where}{through}"


def principal_of(*, user: User, project_id: UUID | None = None) -> Principal:
    """Who this person is in the project named, or in the first one they can enter.

    Forbidden if they cannot enter it: whether it exists is not told.
    """
    for project in enterable(user=user, project_id=project_id):
        return principal_in(user=user, project=project)
    raise Forbidden("You belong to no such project; ask an owner of one to add you.")


def principal_of_session(
    *, user: User, project_id: UUID | None, seen: entry.Shown | None
) -> Principal:
    """As `principal_of`, of projects whose organisation takes what the session has shown.

    Raises what `entry.refusal` says where it is all that stands in the way.
    """
    refused: Refused | None = None
    for project in enterable(user=user, project_id=project_id):
        refusal = entry.refusal(user=user, organisation=project.organisation, seen=seen)
        if refusal is None:
            return replace(principal_in(user=user, project=project), shown=seen)
        refused = refused or refusal
    raise refused or Forbidden("You belong to no such project; ask an owner of one to add you.")


def enterable(*, user: User, project_id: UUID | None = None) -> list[Project]:
    """Projects outside the bin that a person has any role in, oldest first."""
    mine = Membership.objects.filter(Q(user=user) | Q(group__people=user))
    projects = Project.objects.filter(archived_at=None).select_related("organisation")
    if not user.is_superuser:
        projects = projects.filter(
            Q(pk__in=mine.values("project_id"))
            | Q(organisation_id__in=mine.values("organisation_id"))
        )
    if project_id is not None:
        projects = projects.filter(pk=project_id)
    return list(projects.order_by("created_at", "pk"))


def principal_in(
    *, user: User, project: Project, key_id: UUID | None = None, scopes: Levels | None = None
) -> Principal:
    """The principal of a person in a project; a key's `scopes` narrow it."""
    levels = grants.widest(grant.levels for grant in grants_of(user=user, project=project))
    if scopes is not None:
        levels = grants.narrowest(scopes, levels)
    return Principal(
        project_id=project.pk,
        organisation_id=project.organisation_id,
        role=nearest_role(levels),
        user_id=user.pk,
        user_name=user.username,
        levels=levels,
        key_id=key_id,
    )
