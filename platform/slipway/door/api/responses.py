"""/v1/responses/{id}: what is kept of responses."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door import models
from slipway.door.api import paging
from slipway.door.api.manners import DoorView
from slipway.door.services import responses
from slipway.door.services.words import Bad
from slipway.tenancy.services import Level


class _ResponseView(DoorView):
    module = "inference"
    # As OpenAI's, whoever may make responses may delete them.
    levels = {"DELETE": Level.OPERATE}

    def row(self, response_id: str) -> models.Response:
        return responses.of(project_id=self.project_id, response_id=response_id)


class ResponseView(_ResponseView):
    def get(self, request: Request, response_id: str) -> Response:
        if request.query_params.get("stream", "false") == "true":
            raise Bad("A response is shown whole; leave stream out.", param="stream")
        return Response(self.row(response_id).body)

    def delete(self, request: Request, response_id: str) -> Response:
        row = self.row(response_id)
        row.delete()
        return Response({"id": response_id, "object": "response", "deleted": True})


class CancelView(_ResponseView):
    def post(self, request: Request, response_id: str) -> Response:
        raise responses.not_cancellable(self.row(response_id))


class InputItemsView(_ResponseView):
    def get(self, request: Request, response_id: str) -> Response:
        items = self.row(response_id).input_items
        rising = paging.order_of(request, "desc") == "asc"
        return Response(paging.page_of(items if rising else items[::-1], request))
