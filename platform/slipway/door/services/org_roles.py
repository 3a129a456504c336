"""Roles of an organisation and its projects as OpenAI's objects: ready-made ones and its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from slipway.door.services import org_shapes, words
from slipway.tenancy.services import directory, grants, teams

ROLE = "role_"
#: Widest first; each includes the ones after it.
_READY_MADE = ("admin", "owner", "operator", "reader")


def roles(*, organisation_id: UUID, in_project: bool) -> list[dict[str, Any]]:
    """Every role that somebody may be given in the whole organisation, or in a project of it.

    A permission is a module and how far one may go in it: `datasets:operate`.
    """
    return list(_by_our_names(organisation_id=organisation_id, in_project=in_project).values())


def role_of(
    person: directory.Person, *, organisation_id: UUID, in_project: bool
) -> list[dict[str, Any]]:
    """The one role that this person was given there, or none; those of groups come on top."""
    found = _by_our_names(organisation_id=organisation_id, in_project=in_project)
    return [found[person.role]] if person.role in found else []


def _by_our_names(*, organisation_id: UUID, in_project: bool) -> dict[str, dict[str, Any]]:
    place = "project" if in_project else "organization"
    named = org_shapes.role_in_project if in_project else str
    ready = {
        name: _role(
            f"{ROLE}{place}_{name}", named(name), place, grants.levels_of_role(name), ready=True
        )
        for name in _READY_MADE
    }
    own = {
        row.name: _role(
            words.public_id(ROLE, row.pk), row.name, place,
            grants.levels_of_role("custom", row.levels), ready=False,
        )
        for row in teams.roles_of(organisation_id=organisation_id)
    }  # fmt: skip
    return ready | own


def _role(
    role_id: str, name: str, place: str, levels: Mapping[str, grants.Level], *, ready: bool
) -> dict[str, Any]:
    return {
        "id": role_id,
        "object": "role",
        "name": name,
        "description": None,
        "permissions": [
            f"{module}:{level.name.lower()}" for module, level in levels.items() if level
        ],
        "predefined_role": ready,
        "resource_type": f"api.{place}",
    }
