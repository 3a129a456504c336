"""/v1/organization: keys of projects, service accounts with theirs, and admin keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.organization.base import OrganizationView, named, ordered
from slipway.door.services import org_shapes, words
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import directory, people

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
_Seconds = Annotated[int, msgspec.Meta(ge=60, le=10 * 365 * 86400)]


def _ends(seconds: int | None) -> datetime | None:
    return timezone.now() + timedelta(seconds=seconds) if seconds else None


def _key(found: list[directory.KeyEntry], key_id: str) -> directory.KeyEntry:
    return named(found, org_shapes.KEY, key_id, what="API key", param="key_id")


class _ProjectKeys(OrganizationView):
    def found(self, project_id: str) -> list[directory.KeyEntry]:
        return directory.keys_of(
            organisation_id=self.organisation_id, project_id=self.project(project_id)
        )


class ProjectKeysView(_ProjectKeys):
    def get(self, request: Request, project_id: str) -> Response:
        found = self.found(project_id)
        wanted = request.query_params.get("owner_project_access", "any")
        if wanted != "any":
            found = [entry for entry in found if entry.in_force == (wanted == "active")]
        return Response(paging.page_of([org_shapes.project_key(e) for e in found], request))


class ProjectKeyView(_ProjectKeys):
    def get(self, request: Request, project_id: str, key_id: str) -> Response:
        return Response(org_shapes.project_key(_key(self.found(project_id), key_id)))

    def delete(self, request: Request, project_id: str, key_id: str) -> Response:
        entry = _key(self.found(project_id), key_id)
        place = self.place(project_id)
        tenancy.revoke_key(maker=place, key_id=entry.id, now=timezone.now())
        return Response(org_shapes.deleted("organization.project.api_key", key_id))


class _NewAccount(words.Request):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63, pattern=r"^[^@\s]+$")]
    create_service_account_only: bool | None = None
    expires_in_seconds: _Seconds | None = None


class _Account(OrganizationView):
    def account(self, project_id: str, account_id: str) -> directory.Person:
        return named(
            directory.accounts_of(project_id=self.project(project_id)),
            org_shapes.ACCOUNT,
            account_id,
            what="service account",
            param="service_account_id",
        )

    def new_key(
        self, place: tenancy.Principal, person: directory.Person, name: str, seconds: int | None
    ) -> dict[str, Any]:
        """A key with the account's rights; its secret is shown this once."""
        issued = tenancy.issue_key(
            maker=place,
            name=name,
            role=person.role if person.role in {"owner", "operator"} else "reader",
            expires_at=_ends(seconds),
            service_account_id=person.id,
        )
        return {
            "id": words.public_id(org_shapes.KEY, issued.key.pk),
            "object": "organization.project.service_account.api_key",
            "name": issued.key.name,
            "value": issued.secret,
            "created_at": words.seconds(issued.key.created_at),
            "expires_at": words.seconds(issued.key.expires_at),
        }


class AccountsView(_Account):
    def get(self, request: Request, project_id: str) -> Response:
        found = directory.accounts_of(project_id=self.project(project_id))
        return Response(paging.page_of([org_shapes.account(p) for p in found], request))

    def post(self, request: Request, project_id: str) -> Response:
        """A member of the project that is a program, and its first key."""
        place, wish = self.place(project_id), self.body(_NewAccount)

        def make() -> dict[str, Any]:
            row = people.create_service_account(principal=place, name=wish.name, role="operator")
            person = self.account(project_id, f"{org_shapes.ACCOUNT}{row.user_id}")
            key = (
                None
                if wish.create_service_account_only
                else self.new_key(place, person, "Secret Key", wish.expires_in_seconds)
            )
            return org_shapes.account(person) | {"api_key": key}

        return self.once(msgspec.to_builtins(wish), make, secret=True)


class _AccountChange(words.Request):
    name: _Name | None = None
    role: Literal["owner", "member"] | None = None


class AccountView(_Account):
    def get(self, request: Request, project_id: str, account_id: str) -> Response:
        return Response(org_shapes.account(self.account(project_id, account_id)))

    def post(self, request: Request, project_id: str, account_id: str) -> Response:
        person, wish = self.account(project_id, account_id), self.body(_AccountChange)
        directory.change_account(
            principal=self.place(project_id),
            account_id=person.id,
            name=wish.name,
            role=org_shapes.PROJECT_ROLES[wish.role] if wish.role else None,
        )
        return Response(org_shapes.account(self.account(project_id, account_id)))

    def delete(self, request: Request, project_id: str, account_id: str) -> Response:
        person = self.account(project_id, account_id)
        people.retire_service_account(principal=self.place(project_id), account_id=person.id)
        return Response(org_shapes.deleted("organization.project.service_account", account_id))


class _AccountKey(words.Request):
    name: _Name = "Secret Key"
    expires_in_seconds: _Seconds | None = None


class AccountKeysView(_Account):
    def post(self, request: Request, project_id: str, account_id: str) -> Response:
        person, wish = self.account(project_id, account_id), self.body(_AccountKey)
        place = self.place(project_id)
        return self.once(
            msgspec.to_builtins(wish),
            lambda: self.new_key(place, person, wish.name, wish.expires_in_seconds),
            secret=True,
        )


class _AdminKey(words.Request):
    name: _Name
    expires_in_seconds: _Seconds | None = None


class AdminKeysView(OrganizationView):
    def get(self, request: Request) -> Response:
        found = directory.keys_of(organisation_id=self.organisation_id, admin=True)
        items = ordered([org_shapes.admin_key(entry) for entry in found], request, "asc")
        return Response(paging.page_of(items, request))

    def post(self, request: Request) -> Response:
        wish = self.body(_AdminKey)

        def make() -> dict[str, Any]:
            issued = tenancy.issue_key(
                maker=self.principal,
                name=wish.name,
                role="admin",
                expires_at=_ends(wish.expires_in_seconds),
            )
            return _admin(self.organisation_id, issued.key.pk) | {"value": issued.secret}

        return self.once(msgspec.to_builtins(wish), make, secret=True)


class AdminKeyView(OrganizationView):
    def get(self, request: Request, key_id: str) -> Response:
        return Response(org_shapes.admin_key(self._entry(key_id)))

    def delete(self, request: Request, key_id: str) -> Response:
        entry = self._entry(key_id)
        place = self.place(words.public_id(org_shapes.PROJECT, entry.project_id))
        tenancy.revoke_key(maker=place, key_id=entry.id, now=timezone.now())
        return Response(org_shapes.deleted("organization.admin_api_key", key_id))

    def _entry(self, key_id: str) -> directory.KeyEntry:
        return _key(directory.keys_of(organisation_id=self.organisation_id, admin=True), key_id)


def _admin(organisation_id: UUID, key: UUID) -> dict[str, Any]:
    found = directory.keys_of(organisation_id=organisation_id, admin=True)
    return org_shapes.admin_key(next(entry for entry in found if entry.id == key))
