"""/v1/conversations: items that stay, for responses to go on with."""

from __future__ import annotations

from typing import Any

import msgspec
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door import models
from slipway.door.api import paging
from slipway.door.api.manners import DoorView
from slipway.door.services import conversations, words
from slipway.tenancy.services import Level


class _New(words.Request):
    items: list[dict[str, Any]] | None = None
    metadata: words.Metadata | None = None


class _Change(words.Request):
    metadata: words.Metadata | None


class _Items(words.Request):
    items: list[dict[str, Any]]


class _ConversationView(DoorView):
    module = "inference"
    # As OpenAI's, whoever may make conversations may delete them.
    levels = {"DELETE": Level.OPERATE}

    def row(self, conversation_id: str) -> models.Conversation:
        return conversations.of(project_id=self.project_id, conversation_id=conversation_id)


class ConversationsView(_ConversationView):
    def post(self, request: Request) -> Response:
        wish = self.body(_New)

        def make() -> dict[str, Any]:
            row = conversations.create(
                project_id=self.project_id,
                metadata=wish.metadata,
                items=wish.items or [],
                now=timezone.now(),
            )
            return conversations.shown(row)

        return self.once(msgspec.to_builtins(wish), make)


class ConversationView(_ConversationView):
    def get(self, request: Request, conversation_id: str) -> Response:
        return Response(conversations.shown(self.row(conversation_id)))

    def post(self, request: Request, conversation_id: str) -> Response:
        row, wish = self.row(conversation_id), self.body(_Change)
        row.metadata = wish.metadata
        row.save(update_fields=["metadata"])
        return Response(conversations.shown(row))

    def delete(self, request: Request, conversation_id: str) -> Response:
        self.row(conversation_id).delete()
        return Response({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


class ItemsView(_ConversationView):
    def get(self, request: Request, conversation_id: str) -> Response:
        row = self.row(conversation_id)
        rising = paging.order_of(request, "desc") == "asc"
        limit = paging.limit_of(request, 20, 100)
        found = row.items.order_by("pk" if rising else "-pk")
        if after := request.query_params.get("after"):
            last = found.filter(name=after).first()
            if last is None:
                raise paging.unknown(after)
            found = found.filter(pk__gt=last.pk) if rising else found.filter(pk__lt=last.pk)
        page = [item.body for item in found[: limit + 1]]
        return Response(paging.body(page[:limit], has_more=len(page) > limit))

    def post(self, request: Request, conversation_id: str) -> Response:
        row, wish = self.row(conversation_id), self.body(_Items)
        return self.once(
            msgspec.to_builtins(wish),
            lambda: paging.body(conversations.append(row, wish.items), has_more=False),
        )


class ItemView(_ConversationView):
    def get(self, request: Request, conversation_id: str, item_id: str) -> Response:
        return Response(conversations.item(self.row(conversation_id), item_id).body)

    def delete(self, request: Request, conversation_id: str, item_id: str) -> Response:
        row = self.row(conversation_id)
        conversations.item(row, item_id).delete()
        return Response(conversations.shown(row))
