"""/v1/responses/{id}: what is kept of responses."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door import models
from slipway.door.api import paging, unattended
from slipway.door.api.manners import DoorView
from slipway.door.services import background, responses
from slipway.door.services.words import Bad
from slipway.tenancy.services import Level


class _ResponseView(DoorView):
    module = "inference"
    # As OpenAI's, whoever may make responses may delete them.
    levels = {"DELETE": Level.OPERATE}

    def row(self, response_id: str) -> models.Response:
        found = responses.of(project_id=self.project_id, response_id=response_id)
        return background.looked_at(found, now=timezone.now())


class ResponseView(_ResponseView):
    def get(self, request: Request, response_id: str) -> Any:
        row = self.row(response_id)
        if request.query_params.get("stream", "false") != "true":
            return Response(row.body)
        if not row.body.get("background"):
            text = "Only a response made in the background is told again as a stream."
            raise Bad(text, param="stream")
        after = request.query_params.get("starting_after", "-1")
        if after != "-1" and not (after.isascii() and after.isdecimal() and len(after) < 10):
            text = f"starting_after must be a sequence_number, not {after[:50]!r}."
            raise Bad(text, param="starting_after")
        told = StreamingHttpResponse(
            unattended.events(row.pk, after=int(after)), content_type="text/event-stream"
        )
        told["cache-control"], told["x-accel-buffering"] = "no-cache", "no"
        return told

    def delete(self, request: Request, response_id: str) -> Response:
        row = self.row(response_id)
        row.delete()
        return Response({"id": response_id, "object": "response", "deleted": True})


class CancelView(_ResponseView):
    def post(self, request: Request, response_id: str) -> Response:
        return Response(background.cancel(self.row(response_id)).body)


class InputItemsView(_ResponseView):
    def get(self, request: Request, response_id: str) -> Response:
        items = self.row(response_id).input_items
        rising = paging.order_of(request, "desc") == "asc"
        return Response(paging.page_of(items if rising else items[::-1], request))
