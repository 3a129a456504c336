"""/v1/organization/users, invites, and projects/…/users."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.organization.base import OrganizationView, many, named, one_of, person_in
from slipway.door.services import org_shapes, words
from slipway.door.services.words import Bad
from slipway.tenancy.services import directory, invites, people

_Role = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]


def role_given(role: str) -> str:
    """Our name of a role in a project; a role of the organisation's own has its own name."""
    return org_shapes.PROJECT_ROLES.get(role, role)


class _UserView(OrganizationView):
    def person(self, user_id: str) -> directory.Person:
        return person_in(directory.people_of(organisation_id=self.organisation_id), user_id)


class UsersView(_UserView):
    def get(self, request: Request) -> Response:
        found = directory.people_of(organisation_id=self.organisation_id)
        if emails := many(request, "emails"):
            found = [person for person in found if person.email in emails]
        return Response(paging.page_of([org_shapes.user(person) for person in found], request))


class _UserChange(words.Request):
    role: Literal["owner", "reader"]


class UserView(_UserView):
    def get(self, request: Request, user_id: str) -> Response:
        return Response(org_shapes.user(self.person(user_id)))

    def post(self, request: Request, user_id: str) -> Response:
        person, wish = self.person(user_id), self.body(_UserChange)
        directory.set_owner(principal=self.principal, user_id=person.id, owner=wish.role == "owner")
        return Response(org_shapes.user(self.person(user_id)))

    def delete(self, request: Request, user_id: str) -> Response:
        person = self.person(user_id)
        directory.remove_from_organisation(principal=self.principal, user_id=person.id)
        return Response(org_shapes.deleted("organization.user", user_id))


class _InvitedTo(words.Request):
    id: words.Id
    role: _Role


class _Invite(words.Request):
    email: Annotated[str, msgspec.Meta(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
    role: Literal["owner", "reader"]
    projects: list[_InvitedTo] = []


class InvitesView(OrganizationView):
    def get(self, request: Request) -> Response:
        now = timezone.now()
        found = directory.invites_of(organisation_id=self.organisation_id)
        return Response(paging.page_of([org_shapes.invite(e, now) for e in found], request))

    def post(self, request: Request) -> Response:
        """Nobody is mailed: `x_link` is for the one invited."""
        wish = self.body(_Invite)
        if wish.role != "reader":
            raise Bad(
                "Nobody is invited as an owner of the organisation; invite them as reader into a "
                "project, and make them owner when they have come.",
                param="role",
            )
        if len(wish.projects) != 1:
            raise Bad("An invite leads into one project; name exactly one.", param="projects")
        into = wish.projects[0]
        now = timezone.now()

        def make() -> dict[str, Any]:
            issued = invites.invite(
                principal=self.place(into.id), email=wish.email, role=role_given(into.role), now=now
            )
            link = f"{settings.PUBLIC_URL}/invite#{issued.token}"
            return org_shapes.invite(self._entry(issued.invite.pk), now) | {"x_link": link}

        return self.once(msgspec.to_builtins(wish), make, secret=True)

    def _entry(self, key: Any) -> directory.InviteEntry:
        found = directory.invites_of(organisation_id=self.organisation_id)
        return next(entry for entry in found if entry.id == key)


class InviteView(OrganizationView):
    def _entry(self, invite_id: str) -> directory.InviteEntry:
        found = directory.invites_of(organisation_id=self.organisation_id)
        return named(found, org_shapes.INVITE, invite_id, what="invite", param="invite_id")

    def get(self, request: Request, invite_id: str) -> Response:
        return Response(org_shapes.invite(self._entry(invite_id), timezone.now()))

    def delete(self, request: Request, invite_id: str) -> Response:
        entry = self._entry(invite_id)
        if entry.accepted_at is not None:
            raise Bad("This invite was accepted; remove the user instead.", param="invite_id")
        directory.withdraw_invite(principal=self.principal, invite_id=entry.id)
        return Response(org_shapes.deleted("organization.invite", invite_id))


class _ProjectUser(words.Request):
    role: _Role
    user_id: str | None = None
    email: str | None = None


class _ProjectUserChange(words.Request):
    role: _Role


class ProjectUsersView(_UserView):
    def get(self, request: Request, project_id: str) -> Response:
        found = directory.members_of_project(project_id=self.project(project_id))
        return Response(paging.page_of([org_shapes.project_user(p) for p in found], request))

    def post(self, request: Request, project_id: str) -> Response:
        place, wish = self.place(project_id), self.body(_ProjectUser)
        if wish.user_id is not None:
            person = self.person(wish.user_id)
        elif wish.email:
            person = one_of(
                directory.people_of(organisation_id=self.organisation_id),
                lambda person: person.email == wish.email,
                what="user with the address",
                given=wish.email,
                param="email",
            )
        else:
            raise Bad("Name the user by user_id or email.", param="user_id")
        people.add_member(principal=place, user_name=person.name, role=role_given(wish.role))
        return Response(_shown(place.project_id, f"{org_shapes.USER}{person.id}"))


class ProjectUserView(OrganizationView):
    def get(self, request: Request, project_id: str, user_id: str) -> Response:
        return Response(_shown(self.project(project_id), user_id))

    def post(self, request: Request, project_id: str, user_id: str) -> Response:
        place, wish = self.place(project_id), self.body(_ProjectUserChange)
        person = _member(place.project_id, user_id)
        people.change_member(principal=place, member_id=_row(person), role=role_given(wish.role))
        return Response(_shown(place.project_id, user_id))

    def delete(self, request: Request, project_id: str, user_id: str) -> Response:
        place = self.place(project_id)
        people.remove_member(principal=place, member_id=_row(_member(place.project_id, user_id)))
        return Response(org_shapes.deleted("organization.project.user", user_id))


def _member(project_id: UUID, user_id: str) -> directory.Person:
    found = directory.members_of_project(project_id=project_id)
    return person_in(found, user_id, what="user of this project")


def _row(person: directory.Person) -> Any:
    return person.member_id


def _shown(project_id: UUID, user_id: str) -> dict[str, Any]:
    return org_shapes.project_user(_member(project_id, user_id))
