"""Ask for more of a limit, see what was asked, take it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from slipway.core.errors import Conflict, Detail, Forbidden, Invalid, NotFound
from slipway.quotas.models import Request, State
from slipway.quotas.services import held
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import Level

#: Open at a time, of one project.
_MOST_OPEN = 50


def ask(
    *,
    principal: tenancy.Principal,
    kind: str,
    limit_id: UUID,
    wanted: Mapping[str, Any],
    why: str,
    until: datetime | None,
    now: datetime,
) -> Request:
    """A request for more of a limit over one's project; one open request a limit.

    NotFound for a limit that is not over this project, Invalid for less than there is.
    """
    if until is not None and until <= now:
        raise Invalid(
            "until has passed already.",
            Detail(field="until", rule="later than now", value=until.isoformat()),
        )
    limit = held.about(principal, kind, limit_id)
    asked = held.checked(limit.fields, wanted)
    rows = Request.objects.filter(project_id=principal.project_id, state=State.ASKED)
    if rows.filter(limit_id=limit_id).exists():
        raise Conflict("More of this limit was asked for already; wait for the answer.")
    if rows.count() >= _MOST_OPEN:
        raise Conflict(f"{_MOST_OPEN} requests wait for an answer; no more until some have one.")
    return Request.objects.create(
        created_at=now,
        organisation_id=principal.organisation_id,
        project_id=principal.project_id,
        kind=kind,
        limit_id=limit_id,
        about=limit.words[:300],
        scope=limit.scope,
        wanted=asked,
        why=why,
        asked_by=principal.user_name,
        asked_by_id=principal.user_id,
        until=until,
    )


def requests_of(*, principal: tenancy.Principal, state: str = "") -> Any:
    """Requests of this project, and of the whole organisation for who looks after it; a query."""
    rows = Request.objects.filter(organisation_id=principal.organisation_id)
    if not principal.allows("organisation", Level.READ):
        rows = rows.filter(Q(project_id=principal.project_id))
    return rows.filter(state=state) if state else rows


def request_of(*, principal: tenancy.Principal, request_id: UUID) -> Request:
    row: Request | None = requests_of(principal=principal).filter(pk=request_id).first()
    if row is None:
        raise NotFound("There is no such request here.")
    return row


def may_answer(principal: tenancy.Principal, row: Request) -> bool:
    """Whether this principal could grant or refuse it now."""
    try:
        held.check_approver(principal, row)
    except (Forbidden, NotFound):
        return False
    return row.state == State.ASKED


def withdraw(*, principal: tenancy.Principal, request_id: UUID, now: datetime) -> Request:
    """Take one's own request back; Conflict once it has an answer."""
    row = request_of(principal=principal, request_id=request_id)
    if row.asked_by_id != principal.user_id:
        raise Forbidden(f"{row.asked_by} asked for this; only they take it back.")
    open_still = Request.objects.filter(pk=row.pk, state=State.ASKED)
    if not open_still.update(state=State.WITHDRAWN, answered_at=now):
        raise Conflict("It has an answer already.")
    row.refresh_from_db()
    return row


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A request came to a state that somebody wants to be told of."""

    id: UUID
    at: datetime
    organisation_id: UUID
    project_id: UUID
    state: str
    about: str
    wanted: Mapping[str, Any]
    asked_by: str
    answered_by: str
    text: str


def turns_since(*, since: datetime) -> list[Turn]:
    """Requests asked, answered and lapsed since then, oldest first."""
    found = []
    recent = Q(created_at__gt=since) | Q(answered_at__gt=since) | Q(lapsed_at__gt=since)
    for row in Request.objects.filter(recent).order_by("created_at", "pk"):
        lapsed = row.lapsed_at is not None
        steps = [
            (State.ASKED, row.created_at, row.why),
            (State.GRANTED if lapsed else row.state, row.answered_at, row.answer),
            (State.LAPSED, row.lapsed_at, ""),
        ]
        found += [
            Turn(
                id=row.pk, at=at, organisation_id=row.organisation_id, project_id=row.project_id,
                state=str(state), about=row.about, wanted=row.granted or row.wanted,
                asked_by=row.asked_by, answered_by=row.answered_by, text=text,
            )
            for state, at, text in steps
            if at is not None and at > since and state != State.WITHDRAWN
        ]  # fmt: skip
    return found
