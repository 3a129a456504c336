"""Responses that are kept: continued, shown, their input listed, deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from slipway.door.models import Response
from slipway.door.services import response_asks, words
from slipway.door.services.response_answers import PREFIX
from slipway.door.services.words import Bad

#: Kept for so long, as at OpenAI.
KEPT = timedelta(days=30)
#: A chain of responses is followed back so far.
LONGEST_CHAIN = 500


def rows(*, project_id: UUID) -> QuerySet[Response]:
    return Response.objects.filter(project_id=project_id)


def of(*, project_id: UUID, response_id: str) -> Response:
    """A response of the project; Gone otherwise."""
    key = words.row_id(PREFIX, response_id, what="response", param="response_id")
    found = rows(project_id=project_id).filter(pk=key).first()
    if found is None:
        raise words.no_such("response", response_id, param="response_id")
    return found


def before(*, project_id: UUID, response_id: str) -> tuple[Response, list[dict[str, Any]]]:
    """A response that is continued, and all items up to its end, oldest first."""
    try:
        last = of(project_id=project_id, response_id=response_id)
    except words.Gone:
        raise Bad(
            f"Previous response with id {response_id[:100]!r} not found; it was not stored, was "
            "deleted, or is older than 30 days.",
            param="previous_response_id", code="previous_response_not_found",
        ) from None  # fmt: skip
    chain: list[Response] = []
    row: Response | None = last
    while row is not None and len(chain) < LONGEST_CHAIN:
        chain.append(row)
        row = row.previous
    items = [
        item for row in reversed(chain) for item in (*row.input_items, *row.body.get("output", ()))
    ]
    return last, items[-response_asks.MOST_ITEMS :]


def keep(
    *,
    project_id: UUID,
    body: dict[str, Any],
    input_items: list[dict[str, Any]],
    previous: Response | None,
    now: datetime,
) -> None:
    """Store a response that has ended, under the id it was answered with."""
    Response.objects.create(
        pk=words.row_id(PREFIX, body["id"], what="response"),
        created_at=now,
        project_id=project_id,
        body=body,
        input_items=input_items,
        previous=previous,
    )


def not_cancellable(row: Response) -> Bad:
    """Only what runs in the background could be cancelled; nothing does here."""
    return Bad(
        f"Only background responses can be cancelled; this one is {row.body.get('status')}. To end "
        "one that is being answered, close its connection.",
        param="response_id",
    )


def forget(now: datetime) -> None:
    Response.objects.filter(created_at__lt=now - KEPT).delete()
