"""The organisation's people, projects, keys, invites and groups as OpenAI's objects."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from slipway.door.services import words
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import directory

PROJECT, USER, KEY, ACCOUNT, INVITE, GROUP = (
    "proj_", "user-", "key_", "svc_", "invite-", "group_",
)  # fmt: skip
#: Their roles in a project, in our words; a role that is none of these goes by its own name.
PROJECT_ROLES = {"owner": "owner", "member": "operator", "viewer": "reader"}
_THEIRS = {ours: theirs for theirs, ours in PROJECT_ROLES.items()}


def project_row(given: str) -> UUID:
    return words.row_id(PROJECT, given, what="project", param="project_id")


def numbered(prefix: str, given: str, *, what: str, param: str) -> int:
    """The number of a user or service account; Gone for what this API never gave out."""
    text = given.removeprefix(prefix)
    if not given.startswith(prefix) or not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise words.no_such(what, given, param=param)
    return int(text)


def role_in_project(role: str) -> str:
    return _THEIRS.get(role, role)


def role_in_organisation(role: str) -> str:
    return "owner" if role == "owner" else "reader"


def project(fact: tenancy.ProjectFact) -> dict[str, Any]:
    return {
        "id": words.public_id(PROJECT, fact.id),
        "object": "organization.project",
        "name": fact.name,
        "created_at": words.seconds(fact.created_at),
        "archived_at": words.seconds(fact.archived_at),
        "status": "archived" if fact.archived_at else "active",
    }


def user(person: directory.Person) -> dict[str, Any]:
    places = [
        {"id": words.public_id(PROJECT, key), "name": name, "role": role_in_project(role)}
        for key, (name, role) in person.projects.items()
    ]
    return {
        "id": f"{USER}{person.id}",
        "object": "organization.user",
        "name": person.name,
        "email": person.email or None,
        "role": role_in_organisation(person.role),
        "added_at": words.seconds(person.added_at),
        "is_service_account": False,
        "projects": {"object": "list", "data": places},
    }


def project_user(person: directory.Person) -> dict[str, Any]:
    return {
        "id": f"{USER}{person.id}",
        "object": "organization.project.user",
        "name": person.name,
        "email": person.email or None,
        "role": role_in_project(person.role),
        "added_at": words.seconds(person.added_at),
    }


def account(person: directory.Person) -> dict[str, Any]:
    role = role_in_project(person.role)
    return {
        "id": f"{ACCOUNT}{person.id}",
        "object": "organization.project.service_account",
        "name": person.name,
        # Their third word for roles that are neither; ours says which.
        "role": role if role in {"owner", "member"} else "none",
        "x_role": person.role,
        "created_at": words.seconds(person.added_at),
    }


def project_key(entry: directory.KeyEntry) -> dict[str, Any]:
    return {
        "id": words.public_id(KEY, entry.id),
        "object": "organization.project.api_key",
        "name": entry.name,
        "redacted_value": entry.redacted,
        "created_at": words.seconds(entry.created_at),
        "last_used_at": words.seconds(entry.last_used_at),
        "expires_at": words.seconds(entry.expires_at),
        "owner": _owner(entry.owner),
        "owner_project_access": "active" if entry.in_force else "inactive",
    }


def _owner(person: directory.Person) -> dict[str, Any]:
    shown = {
        "name": person.name,
        "created_at": words.seconds(person.added_at),
        "role": role_in_project(person.role),
    }
    if person.is_program:
        return {
            "type": "service_account",
            "service_account": {"id": f"{ACCOUNT}{person.id}"} | shown,
        }
    return {"type": "user", "user": {"id": f"{USER}{person.id}", "email": person.email} | shown}


def admin_key(entry: directory.KeyEntry) -> dict[str, Any]:
    owner = entry.owner
    return {
        "id": words.public_id(KEY, entry.id),
        "object": "organization.admin_api_key",
        "name": entry.name,
        "redacted_value": entry.redacted,
        "created_at": words.seconds(entry.created_at),
        "last_used_at": words.seconds(entry.last_used_at),
        "expires_at": words.seconds(entry.expires_at),
        "owner": {
            "type": "service_account" if owner.is_program else "user",
            "object": "organization.user",
            "id": f"{ACCOUNT if owner.is_program else USER}{owner.id}",
            "name": owner.name,
            "created_at": words.seconds(owner.added_at),
            "role": owner.role,
        },
    }


def invite(entry: directory.InviteEntry, now: datetime) -> dict[str, Any]:
    if entry.accepted_at is not None:
        status = "accepted"
    else:
        status = "pending" if entry.expires_at > now else "expired"
    role = role_in_project(entry.role)
    place = {
        "id": words.public_id(PROJECT, entry.project_id),
        "role": role if role in {"owner", "member"} else "member",
        "x_role": entry.role,
    }
    return {
        "id": words.public_id(INVITE, entry.id),
        "object": "organization.invite",
        "email": entry.email,
        "role": "reader",
        "status": status,
        "created_at": words.seconds(entry.created_at),
        "expires_at": words.seconds(entry.expires_at),
        "accepted_at": words.seconds(entry.accepted_at),
        "projects": [place],
    }


def group(entry: directory.GroupEntry) -> dict[str, Any]:
    return {
        "id": words.public_id(GROUP, entry.id),
        "object": "group",
        "name": entry.name,
        "created_at": words.seconds(entry.created_at),
        "group_type": "group",
        "is_scim_managed": False,
    }


def group_user(person: directory.Person) -> dict[str, Any]:
    return {"id": f"{USER}{person.id}", "name": person.name, "email": person.email or None}


def deleted(kind: str, public_id: str) -> dict[str, Any]:
    return {"id": public_id, "object": f"{kind}.deleted", "deleted": True}
