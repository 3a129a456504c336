"""The audit log in OpenAI's words: which recorded change is which of its events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from slipway.audit import services as audit
from slipway.door.services import org_shapes, words
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import directory

EVENT = "audit_log-"
_IN = "v1/organization/projects/<str:project_id>"
#: Event to the recorded actions that are it.
ACTIONS: dict[str, tuple[str, ...]] = {
    "api_key.created": (
        "POST api/v1/keys",
        "POST api/v1/keys/<uuid:key_id>/rotate",
        "POST v1/organization/admin_api_keys",
        f"POST {_IN}/service_accounts/<str:account_id>/api_keys",
    ),
    "api_key.deleted": (
        "DELETE api/v1/keys/<uuid:key_id>",
        "DELETE v1/organization/admin_api_keys/<str:key_id>",
        f"DELETE {_IN}/api_keys/<str:key_id>",
    ),
    "invite.sent": ("POST api/v1/invites", "POST v1/organization/invites"),
    "invite.accepted": ("POST api/v1/invites/accept",),
    "invite.deleted": (
        "DELETE api/v1/invites/<uuid:invite_id>",
        "DELETE v1/organization/invites/<str:invite_id>",
    ),
    "login.succeeded": ("POST api/v1/session",),
    "login.failed": ("POST api/v1/session",),
    "logout.succeeded": ("DELETE api/v1/session",),
    "project.created": ("POST api/v1/projects", "POST v1/organization/projects"),
    "project.updated": (
        "PATCH api/v1/projects/<uuid:project_id>",
        f"POST {_IN}",
        "POST api/v1/projects/<uuid:project_id>/restore",
    ),
    "project.archived": (
        "DELETE api/v1/projects/<uuid:project_id>",
        f"POST {_IN}/archive",
    ),
    "rate_limit.updated": ("PUT api/v1/limits", f"POST {_IN}/rate_limits/<path:limit_id>"),
    "rate_limit.deleted": ("DELETE api/v1/limits/<uuid:limit_id>",),
    "service_account.created": (
        "POST api/v1/service-accounts",
        f"POST {_IN}/service_accounts",
    ),
    "service_account.updated": (f"POST {_IN}/service_accounts/<str:account_id>",),
    "service_account.deleted": (
        "DELETE api/v1/service-accounts/<int:account_id>",
        f"DELETE {_IN}/service_accounts/<str:account_id>",
    ),
    "user.added": ("POST api/v1/members", f"POST {_IN}/users"),
    "user.updated": (
        "PATCH api/v1/members/<uuid:member_id>",
        f"POST {_IN}/users/<str:user_id>",
        "POST v1/organization/users/<str:user_id>",
    ),
    "user.deleted": (
        "DELETE api/v1/members/<uuid:member_id>",
        f"DELETE {_IN}/users/<str:user_id>",
        "DELETE v1/organization/users/<str:user_id>",
    ),
    "group.created": ("POST api/v1/groups", "POST v1/organization/groups"),
    "group.updated": (
        "PUT api/v1/groups/<uuid:group_id>",
        "POST v1/organization/groups/<str:group_id>",
        "POST v1/organization/groups/<str:group_id>/users",
        "DELETE v1/organization/groups/<str:group_id>/users/<str:user_id>",
    ),
    "group.deleted": (
        "DELETE api/v1/groups/<uuid:group_id>",
        "DELETE v1/organization/groups/<str:group_id>",
    ),
    "role.created": ("POST api/v1/roles",),
    "role.updated": ("PUT api/v1/roles/<uuid:role_id>",),
    "role.deleted": ("DELETE api/v1/roles/<uuid:role_id>",),
}
_WHEN_REFUSED = {"login.failed"}


def recorded(types: Iterable[str]) -> list[str]:
    """The actions that may be one of these events."""
    return sorted({action for name in types for action in ACTIONS[name]})


def type_of(body: dict[str, Any]) -> str | None:
    """The event that an entry of the log is; None if it is none of theirs, or was not done."""
    done = body["outcome"] == "done"
    for name, actions in ACTIONS.items():
        if body["action"] in actions and done == (name not in _WHEN_REFUSED):
            return name
    return None


def _thing(body: dict[str, Any], name: str) -> str | None:
    """The id of what the event is about, of all the ids in the path and the answer."""
    ids = body["object"].split()
    if len(ids) > 1 and f" {_IN}/" in body["action"]:
        ids = ids[1:]
    if not ids:
        return None
    # What was made is told last; else what follows is a part of the thing.
    return str(ids[-1] if name.endswith((".created", ".added", ".sent")) else ids[0])


class Told:
    """Turns entries into events; reads the organisation's people and projects once."""

    def __init__(self, *, organisation_id: UUID) -> None:
        own = tenancy.projects_of_organisation(organisation_id=organisation_id)
        self._projects = {str(fact.id): fact.name for fact in own}
        everybody = directory.people_of(organisation_id=organisation_id)
        self.people = {person.name: person for person in everybody}

    def event(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        """One entry as OpenAI shows it; `resource` is what the log says of its object."""
        event: dict[str, Any] = {
            "id": f"{EVENT}{body['number']}",
            "type": name,
            "effective_at": int(audit.moment(body).timestamp()),
            "actor": self._actor(body),
            name: {"id": _thing(body, name)},
        }
        if body["project"] in self._projects:
            event["project"] = {
                "id": words.public_id(org_shapes.PROJECT, UUID(body["project"])),
                "name": self._projects[body["project"]],
            }
        return event

    def _actor(self, body: dict[str, Any]) -> dict[str, Any]:
        person = self.people.get(body["actor"])
        user = {
            "id": f"{org_shapes.USER}{person.id}" if person else body["actor"],
            "email": person.email if person else None,
        }
        if body["key"]:
            key = words.public_id(org_shapes.KEY, UUID(body["key"]))
            return {"type": "api_key", "api_key": {"id": key, "type": "user", "user": user}}
        return {"type": "session", "session": {"user": user, "ip_address": body["origin"]}}
