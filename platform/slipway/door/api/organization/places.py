"""/v1/organization/projects and groups."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.organization.base import OrganizationView, named, ordered, person_in
from slipway.door.services import org_shapes, words
from slipway.door.services.words import Bad
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import directory, projects, teams

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]


class _Project(words.Request):
    name: _Name


class ProjectsView(OrganizationView):
    def get(self, request: Request) -> Response:
        found = tenancy.projects_of_organisation(organisation_id=self.organisation_id)
        archived = request.query_params.get("include_archived", "false")
        if archived not in {"true", "false"}:
            raise Bad("include_archived is true or false.", param="include_archived")
        if archived == "false":
            found = [fact for fact in found if fact.archived_at is None]
        return Response(paging.page_of([org_shapes.project(fact) for fact in found], request))

    def post(self, request: Request) -> Response:
        wish = self.body(_Project)

        def make() -> dict[str, Any]:
            made = projects.create_project(organisation_id=self.organisation_id, name=wish.name)
            return org_shapes.project(tenancy.project_fact(project_id=made.pk))

        return self.once(msgspec.to_builtins(wish), make)


class ProjectView(OrganizationView):
    def get(self, request: Request, project_id: str) -> Response:
        key = self.project(project_id)
        return Response(org_shapes.project(tenancy.project_fact(project_id=key)))

    def post(self, request: Request, project_id: str) -> Response:
        key, wish = self.project(project_id), self.body(_Project)
        projects.rename_project(principal=self.principal, project_id=key, name=wish.name)
        return Response(org_shapes.project(tenancy.project_fact(project_id=key)))


class ArchiveView(OrganizationView):
    def post(self, request: Request, project_id: str) -> Response:
        key = self.project(project_id)
        projects.archive_project(principal=self.principal, project_id=key, now=timezone.now())
        return Response(org_shapes.project(tenancy.project_fact(project_id=key)))


class _GroupView(OrganizationView):
    def group(self, group_id: str) -> directory.GroupEntry:
        found = directory.groups_of(organisation_id=self.organisation_id)
        return named(found, org_shapes.GROUP, group_id, what="group", param="group_id")

    def set_people(self, entry: directory.GroupEntry, names: list[str]) -> None:
        teams.change_group(principal=self.principal, group_id=entry.id, people=names)


class GroupsView(_GroupView):
    def get(self, request: Request) -> Response:
        found = directory.groups_of(organisation_id=self.organisation_id)
        items = ordered([org_shapes.group(entry) for entry in found], request, "asc")
        return Response(paging.next_page_of(items, request, default=100))

    def post(self, request: Request) -> Response:
        wish = self.body(_Project)

        def make() -> dict[str, Any]:
            made = teams.create_group(principal=self.principal, name=wish.name, people=[])
            return org_shapes.group(self.group(words.public_id(org_shapes.GROUP, made.pk)))

        return self.once(msgspec.to_builtins(wish), make)


class GroupView(_GroupView):
    def get(self, request: Request, group_id: str) -> Response:
        return Response(org_shapes.group(self.group(group_id)))

    def post(self, request: Request, group_id: str) -> Response:
        entry, wish = self.group(group_id), self.body(_Project)
        teams.rename_group(principal=self.principal, group_id=entry.id, name=wish.name)
        return Response(org_shapes.group(self.group(group_id)))

    def delete(self, request: Request, group_id: str) -> Response:
        teams.delete_group(principal=self.principal, group_id=self.group(group_id).id)
        return Response(org_shapes.deleted("group", group_id))


class _Joining(words.Request):
    user_id: words.Id


class GroupUsersView(_GroupView):
    def get(self, request: Request, group_id: str) -> Response:
        items = [org_shapes.group_user(person) for person in self.group(group_id).people]
        return Response(paging.next_page_of(ordered(items, request, "asc"), request, default=100))

    def post(self, request: Request, group_id: str) -> Response:
        entry, wish = self.group(group_id), self.body(_Joining)
        everybody = directory.people_of(organisation_id=self.organisation_id)
        person = person_in(everybody, wish.user_id)
        self.set_people(entry, [*(each.name for each in entry.people), person.name])
        return Response({"object": "group.user", "user_id": wish.user_id, "group_id": group_id})


class GroupUserView(_GroupView):
    def get(self, request: Request, group_id: str, user_id: str) -> Response:
        return Response(org_shapes.group_user(self._member(self.group(group_id), user_id)))

    def delete(self, request: Request, group_id: str, user_id: str) -> Response:
        entry = self.group(group_id)
        leaving = self._member(entry, user_id)
        self.set_people(entry, [each.name for each in entry.people if each.id != leaving.id])
        return Response({"object": "group.user.deleted", "deleted": True})

    def _member(self, entry: directory.GroupEntry, user_id: str) -> directory.Person:
        return person_in(entry.people, user_id, what="user of this group")
