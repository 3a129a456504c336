"""GET /v1/chat/completions and /v1/chat/completions/{id}: those that were stored."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.manners import DoorView
from slipway.door.models import StoredCompletion
from slipway.door.services import completions, words
from slipway.tenancy.services import Level


class _Changed(words.Request):
    metadata: words.Metadata | None


class CompletionsView(DoorView):
    module = "inference"

    def get(self, request: Request) -> Response:
        rows = paging.with_metadata(completions.rows(project_id=self.project_id), request)
        if (model := request.query_params.get("model")) is not None:
            rows = rows.filter(model=model)
        return Response(
            paging.page(
                rows,
                request,
                find=lambda name: completions.of(project_id=self.project_id, name=name).pk,
                shown=completions.shown,
                order="asc",
            )
        )


class _CompletionView(DoorView):
    module = "inference"
    # As OpenAI's, whoever may make completions may delete them.
    levels = {"DELETE": Level.OPERATE}

    def row(self, name: str) -> StoredCompletion:
        return completions.of(project_id=self.project_id, name=name)


class CompletionView(_CompletionView):
    def get(self, request: Request, name: str) -> Response:
        return Response(completions.shown(self.row(name)))

    def post(self, request: Request, name: str) -> Response:
        row = self.row(name)
        row.metadata = self.body(_Changed).metadata
        row.save(update_fields=["metadata"])
        return Response(completions.shown(row))

    def delete(self, request: Request, name: str) -> Response:
        self.row(name).delete()
        return Response({"id": name, "object": "chat.completion.deleted", "deleted": True})


class MessagesView(_CompletionView):
    def get(self, request: Request, name: str) -> Response:
        messages = completions.messages_of(self.row(name))
        falling = paging.order_of(request, "asc") == "desc"
        return Response(paging.page_of(messages[::-1] if falling else messages, request))
