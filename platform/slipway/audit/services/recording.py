"""Add an entry to the chain, without what is secret."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from slipway.audit.models import Entry, Head
from slipway.audit.rules import chain

_SECRET = re.compile(
    r"pass(word|phrase|code)|secret|token|private|credential|authorization|signature|setup_code|link$",
    re.IGNORECASE,
)
#: Counts of tokens are no secrets.
_HARMLESS = re.compile(r"tokens|_token_|price", re.IGNORECASE)
_OUR_KEY = re.compile(r"sk-slip-[\w-]{16,}")
_QUERY = re.compile(r"(https?://[^\s?#]+)[?#]\S+")
#: Of one value's JSON; longer ones keep only their size.
_LONGEST = 16_384
HIDDEN = "[hidden]"


def scrubbed(value: Any, name: str = "") -> Any:
    """What may be kept: values named like secrets are hidden, addresses lose their query."""
    if name and _SECRET.search(name) and not _HARMLESS.search(name):
        return HIDDEN
    if isinstance(value, dict):
        return {str(key): scrubbed(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(inner) for inner in value]
    if isinstance(value, str):
        # A signed address is a credential; so is whatever looks like one of our keys.
        if "sk-slip-" in value:
            value = _OUR_KEY.sub(HIDDEN, value)
        return _QUERY.sub(r"\1?" + HIDDEN, value) if "://" in value else value
    if isinstance(value, int | float | bool | None):
        return value
    return str(value)


def _kept(value: Any) -> Any:
    if value is None:
        return None
    clean = scrubbed(value)
    size = len(json.dumps(clean, ensure_ascii=False))
    return clean if size <= _LONGEST else {"too_long": size}


def record(
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    organisation_id: UUID | None = None,
    project_id: UUID | None = None,
    key_id: UUID | None = None,
    outcome: str = "done",
    status: int = 0,
    asked: Any = None,
    before: Any = None,
    after: Any = None,
    request_id: str = "",
    origin: str = "",
) -> int:
    """Append an entry in the transaction that is open, or in one of its own; returns its number.

    Raises what the database raises: who cannot record must not change anything.
    """
    # No savepoint: where an entry cannot be written, nothing around it may be kept either.
    with transaction.atomic(savepoint=False):
        last = Head.objects.select_for_update().filter(pk=1).values_list("number", "hash")
        found = list(last.all())
        if not found:
            # The very first entry; of two at once both find the one row that was made.
            Head.objects.get_or_create(pk=1)
            found = list(last.all())
        number, before_it = found[0][0] + 1, found[0][1]
        body = chain.canonical(
            {
                "number": number,
                "at": at.astimezone(UTC).isoformat(),
                "actor": actor,
                "key": str(key_id) if key_id else None,
                "organisation": str(organisation_id) if organisation_id else None,
                "project": str(project_id) if project_id else None,
                "action": action,
                "object": subject,
                "outcome": outcome,
                "status": status,
                "asked": _kept(asked),
                "before": _kept(before),
                "after": _kept(after),
                "request_id": request_id,
                "origin": origin,
            }
        )
        made = chain.link(before_it, body)
        Entry.objects.create(
            number=number,
            at=at,
            body=body,
            hash=made,
            organisation_id=organisation_id,
            project_id=project_id,
            actor=actor[:160],
            action=action[:160],
            subject=subject[:200],
            request_id=request_id,
        )
        Head.objects.filter(pk=1).update(number=number, hash=made)
    return number
