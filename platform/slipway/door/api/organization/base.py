"""What every route of the organisation's plane shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from rest_framework.request import Request

from slipway.door.api.manners import DoorView
from slipway.door.services import org_shapes, words
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import directory, projects

F = TypeVar("F")


class _Numbered(Protocol):
    @property
    def id(self) -> Any: ...


N = TypeVar("N", bound=_Numbered)


class OrganizationView(DoorView):
    """Reached by credentials with a level in the module organisation: admin keys."""

    module = "organisation"

    @property
    def principal(self) -> tenancy.Principal:
        return self.request.user

    @property
    def organisation_id(self) -> UUID:
        return self.principal.organisation_id

    def place(self, project_id: str) -> tenancy.Principal:
        """The caller in another project, to change things there; Gone if it is not theirs."""
        key = org_shapes.project_row(project_id)
        if key == self.principal.project_id:
            return self.principal
        return directory.elsewhere(principal=self.principal, project_id=key)

    def project(self, project_id: str) -> UUID:
        """The id of a project of this organisation, archived or not; Gone otherwise."""
        key = org_shapes.project_row(project_id)
        return UUID(str(projects.own_project(principal=self.principal, project_id=key).pk))


def many(request: Request, name: str) -> list[str]:
    """Values of an array in the query, as `name=a` or `name[]=a`."""
    return [*request.query_params.getlist(name), *request.query_params.getlist(f"{name}[]")]


def one_of(
    found: Sequence[F], true: Callable[[F], bool], *, what: str, given: str, param: str
) -> F:
    """The first that it is true of; Gone otherwise."""
    for each in found:
        if true(each):
            return each
    raise words.no_such(what, given, param=param)


def named(found: Sequence[N], prefix: str, given: str, *, what: str, param: str) -> N:
    """The one with this public id; Gone otherwise."""
    return one_of(
        found,
        # People and programs have numbers, everything else UUIDs.
        lambda each: given == f"{prefix}{getattr(each.id, 'hex', each.id)}",
        what=what,
        given=given,
        param=param,
    )


def person_in(people: Sequence[N], user_id: str, *, what: str = "user") -> N:
    return named(people, org_shapes.USER, user_id, what=what, param="user_id")


def ordered(items: list[dict[str, Any]], request: Request, default: str) -> list[dict[str, Any]]:
    """Things that are oldest first, in the order asked for."""
    from slipway.door.api import paging

    return items if paging.order_of(request, default) == "asc" else items[::-1]
