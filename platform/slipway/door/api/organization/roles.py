"""/v1/organization/roles, /v1/projects/…/roles, and who was given which."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.organization.base import OrganizationView, one_of, ordered, person_in
from slipway.door.services import org_roles
from slipway.tenancy.services import directory


class _View(OrganizationView):
    def roles(self, *, in_project: bool) -> list[dict[str, Any]]:
        return org_roles.roles(organisation_id=self.organisation_id, in_project=in_project)

    def role(self, role_id: str, *, in_project: bool) -> dict[str, Any]:
        found = self.roles(in_project=in_project)
        return one_of(
            found, lambda role: role["id"] == role_id, what="role", given=role_id, param="role_id"
        )

    def page(self, items: list[dict[str, Any]], request: Request) -> Response:
        return Response(paging.next_page_of(ordered(items, request, "asc"), request, default=1000))


class RolesView(_View):
    def get(self, request: Request) -> Response:
        return self.page(self.roles(in_project=False), request)


class RoleView(_View):
    def get(self, request: Request, role_id: str) -> Response:
        return Response(self.role(role_id, in_project=False))


class UserRolesView(_View):
    def get(self, request: Request, user_id: str) -> Response:
        person = person_in(directory.people_of(organisation_id=self.organisation_id), user_id)
        found = org_roles.role_of(person, organisation_id=self.organisation_id, in_project=False)
        return self.page(found, request)


class ProjectRolesView(_View):
    def get(self, request: Request, project_id: str) -> Response:
        self.project(project_id)
        return self.page(self.roles(in_project=True), request)


class ProjectRoleView(_View):
    def get(self, request: Request, project_id: str, role_id: str) -> Response:
        self.project(project_id)
        return Response(self.role(role_id, in_project=True))


class ProjectUserRolesView(_View):
    def get(self, request: Request, project_id: str, user_id: str) -> Response:
        members = directory.members_of_project(project_id=self.project(project_id))
        person = person_in(members, user_id, what="user of this project")
        found = org_roles.role_of(person, organisation_id=self.organisation_id, in_project=True)
        return self.page(found, request)
