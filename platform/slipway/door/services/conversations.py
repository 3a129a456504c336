"""Conversations: items that stay, for one response after another to go on with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from slipway.door.models import Conversation, ConversationItem
from slipway.door.services import response_items, words
from slipway.door.services.words import Bad

PREFIX = "conv_"
#: So many items are taken by one request, as at OpenAI.
MOST_AT_ONCE = 20


def create(
    *,
    project_id: UUID,
    metadata: dict[str, str] | None,
    items: Sequence[dict[str, Any]],
    now: datetime,
) -> Conversation:
    """A conversation that begins with `items`, which are read as a response's input is."""
    found = _read(items) if items else []
    with transaction.atomic():
        row = Conversation.objects.create(project_id=project_id, metadata=metadata, created_at=now)
        add(row, found)
    return row


def of(*, project_id: UUID, conversation_id: str, param: str = "conversation_id") -> Conversation:
    """A conversation of the project; Gone otherwise."""
    key = words.row_id(PREFIX, conversation_id, what="conversation", param=param)
    found = Conversation.objects.filter(project_id=project_id, pk=key).first()
    if found is None:
        raise words.no_such("conversation", conversation_id, param=param)
    return found


def rows(row: Conversation) -> QuerySet[ConversationItem]:
    return row.items.order_by("pk")


def item(row: Conversation, item_id: str) -> ConversationItem:
    found = row.items.filter(name=item_id).first()
    if found is None:
        raise words.no_such("item", item_id, param="item_id")
    return found


def before(*, project_id: UUID, conversation_id: str) -> tuple[Conversation, list[dict[str, Any]]]:
    """A conversation that a response goes on with, and its latest items, oldest first."""
    row = of(project_id=project_id, conversation_id=conversation_id, param="conversation")
    latest = row.items.order_by("-pk").values_list("body", flat=True)
    return row, list(latest[: response_items.MOST_ITEMS])[::-1]


def append(row: Conversation, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add items as a client gives them; Bad naming the one that is none."""
    found = _read(items)
    with transaction.atomic():
        return add(row, found)


def add(row: Conversation, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add items that were read; one that is there already, by its id, gets another.

    None are added to a conversation that was deleted meanwhile.
    """
    if not Conversation.objects.select_for_update().filter(pk=row.pk).exists():
        return []
    taken = set(
        row.items.filter(name__in=[each["id"] for each in items]).values_list("name", flat=True)
    )
    made = []
    for each in items:
        name = each["id"]
        if name in taken:
            name = response_items.new_id(name.partition("_")[0][:100] + "_")
        taken.add(name)
        made.append(each | {"id": name})
    ConversationItem.objects.bulk_create(
        [ConversationItem(conversation=row, name=each["id"], body=each) for each in made]
    )
    return made


def _read(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(items) > MOST_AT_ONCE:
        raise Bad(
            f"items has {len(items)} items; at most {MOST_AT_ONCE} are taken at once.",
            param="items",
        )
    return response_items.items_of(list(items), param="items")


def shown(row: Conversation) -> dict[str, Any]:
    return {
        "id": words.public_id(PREFIX, row.pk),
        "object": "conversation",
        "created_at": words.seconds(row.created_at),
        "metadata": row.metadata or {},
    }
