"""Responses that are kept: continued, shown, their input listed, deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from slipway.door.models import Response
from slipway.door.services import response_items, words
from slipway.door.services.response_answers import PREFIX
from slipway.door.services.words import Bad
from slipway.tenancy.services import retention

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
    if last.body.get("status") == "in_progress":
        raise Bad(
            f"Previous response with id {response_id[:100]!r} has not ended; wait until it has, or "
            "cancel it.",
            param="previous_response_id", code="previous_response_in_progress",
        )  # fmt: skip
    chain: list[Response] = []
    row: Response | None = last
    while row is not None and len(chain) < LONGEST_CHAIN:
        chain.append(row)
        before, row = row.body.get("previous_response_id"), row.previous
        if before is not None and row is None:
            # What it said rests on what is no longer there.
            raise Bad(
                f"Response {str(before)[:100]!r}, which {response_id[:100]!r} goes on from, was "
                "deleted or is older than 30 days; send the conversation as input.",
                param="previous_response_id", code="previous_response_not_found",
            )  # fmt: skip
    items = [
        item for row in reversed(chain) for item in (*row.input_items, *row.body.get("output", ()))
    ]
    return last, items[-response_items.MOST_ITEMS :]


def keep(
    *,
    project_id: UUID,
    body: dict[str, Any],
    input_items: list[dict[str, Any]],
    previous: Response | None,
    now: datetime,
) -> Response:
    """Store a response under the id it is answered with.

    One that has not ended is made in the background; its process must tend it from now on.
    """
    return Response.objects.create(
        beaten_at=now if body["status"] == "in_progress" else None,
        pk=words.row_id(PREFIX, body["id"], what="response"),
        created_at=now,
        project_id=project_id,
        body=body,
        input_items=input_items,
        previous=previous,
    )


def stored(
    *,
    project_id: UUID,
    metadata: Mapping[str, str] | None,
    asked: Mapping[str, Any],
    created_after: datetime | None,
    created_before: datetime | None,
) -> Iterator[Response]:
    """Kept responses that have an answer, oldest first; `asked` are keys of their bodies."""
    found = rows(project_id=project_id)
    if created_after is not None:
        found = found.filter(created_at__gte=created_after)
    if created_before is not None:
        found = found.filter(created_at__lt=created_before)
    for row in found.order_by("created_at", "pk").iterator(chunk_size=100):
        has = row.body.get("metadata") or {}
        if (
            row.body.get("status") in {"completed", "incomplete"}
            and all(has.get(key) == value for key, value in (metadata or {}).items())
            and all(row.body.get(key) == value for key, value in asked.items())
        ):
            yield row


def forget(now: datetime) -> None:
    for project_id, until in retention.cuts("responses", now):
        old = Response.objects.filter(created_at__lt=until)
        (old.filter(project_id=project_id) if project_id else old).delete()
