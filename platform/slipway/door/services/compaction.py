"""A conversation made short: its summary, sealed, so that only its project can go on with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from slipway.core import seal
from slipway.door.services import response_items
from slipway.door.services.words import Bad

#: What the model is asked at the end of the conversation.
QUESTION = (
    "Summarise this conversation for yourself, so that you can go on with it from your summary "
    "alone: what is wanted, what was found and decided, exact names and numbers that still matter, "
    "and what is left to do. Reply with the summary only."
)
_OPENING = "Summary of the conversation so far:\n\n"


def item(summary: str, *, project_id: UUID) -> dict[str, Any]:
    return {
        "type": "compaction",
        "id": response_items.new_id("cmp_"),
        "encrypted_content": seal.seal(summary, purpose=_purpose(project_id)),
    }


def opened(items: Sequence[dict[str, Any]], *, project_id: UUID) -> list[dict[str, Any]]:
    """The items with a message in place of each summary; Bad for one of another project."""
    return [_opened(each, project_id) if each["type"] == "compaction" else each for each in items]


def _opened(given: dict[str, Any], project_id: UUID) -> dict[str, Any]:
    try:
        summary = seal.unseal(given["encrypted_content"], purpose=_purpose(project_id))
    except seal.CannotOpen as error:
        raise Bad(
            f"encrypted_content of the item {given['id']} cannot be opened: {error}. Give it "
            "unchanged, in the project it was made in.",
            param="input",
        ) from error
    parts = [{"type": "input_text", "text": _OPENING + summary}]
    return {"type": "message", "id": given["id"], "role": "user", "content": parts}


def _purpose(project_id: UUID) -> str:
    return f"compaction:{project_id}"
