"""/v1/organization/audit_logs: changes of people, keys, projects and limits, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from slipway.audit import services as audit
from slipway.door.api import paging
from slipway.door.api.organization.base import OrganizationView, many
from slipway.door.services import org_events
from slipway.door.services.words import Bad
from slipway.tenancy.services import Level

#: Comparison in the query to the log's filter; their `gt` and `lte` are the seconds beside.
_BOUNDS = {"gt": ("since", 1), "gte": ("since", 0), "lt": ("until", 0), "lte": ("until", 1)}
_PIECE = 200


class AuditLogsView(OrganizationView):
    """The events that OpenAI has too; all else is in /api/v1/audit."""

    def get(self, request: Request) -> Response:
        self.principal.check_reach("audit", Level.READ)
        limit = paging.limit_of(request, 20, 100)
        types = many(request, "event_types") or list(org_events.ACTIONS)
        for name in types:
            if name not in org_events.ACTIONS:
                known = ", ".join(org_events.ACTIONS)
                raise Bad(f"event_types: {name[:60]!r} is none of {known}.", param="event_types")
        before = _number(request, "after")
        later = _number(request, "before")
        filters = _bounds(request) | {"actions": org_events.recorded(types)}
        rows = audit.entries_of(organisation_id=self.organisation_id, **filters)
        told = org_events.Told(organisation_id=self.organisation_id)
        wanted = _Wanted(request, types)
        found: list[dict[str, Any]] = []
        while len(found) <= limit:
            entries, before = audit.newest(rows=rows, before=before, limit=_PIECE)
            for body in entries:
                kind = org_events.type_of(body)
                if kind is None or (later is not None and body["number"] <= later):
                    continue
                event = told.event(body, kind)
                if wanted.has(event):
                    found.append(event)
            if before is None or (later is not None and before <= later):
                break
        return Response(paging.body(found[:limit], has_more=len(found) > limit))


class _Wanted:
    """What of the query is asked of each event."""

    def __init__(self, request: Request, types: list[str]) -> None:
        self.types = set(types)
        self.projects = set(many(request, "project_ids"))
        self.actors = set(many(request, "actor_ids"))
        self.emails = set(many(request, "actor_emails"))
        self.resources = set(many(request, "resource_ids"))

    def has(self, event: dict[str, Any]) -> bool:
        actor = event["actor"]
        inner = actor[actor["type"]]
        user = inner["user"]
        return (
            event["type"] in self.types
            and (not self.projects or event.get("project", {}).get("id") in self.projects)
            and (not self.actors or bool(self.actors & {user["id"], inner.get("id")}))
            and (not self.emails or user["email"] in self.emails)
            and (not self.resources or event[event["type"]]["id"] in self.resources)
        )


def _number(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if given is None:
        return None
    text = given.removeprefix(org_events.EVENT)
    if not given.startswith(org_events.EVENT) or not (text.isascii() and text.isdecimal()):
        raise Bad(f"{name}: there is no {given[:100]!r} in this list.", param=name)
    return int(text[:18])


def _bounds(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word, (name, more) in _BOUNDS.items():
        raw = request.query_params.get(f"effective_at[{word}]")
        if raw is None:
            continue
        if not (raw.isascii() and raw.isdecimal() and len(raw) < 11):
            raise Bad("effective_at is a time in Unix seconds.", param=f"effective_at[{word}]")
        found[name] = datetime.fromtimestamp(int(raw) + more, UTC)
    return found
