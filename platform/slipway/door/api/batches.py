"""/v1/batches."""

from __future__ import annotations

from typing import Any

import msgspec
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api import paging
from slipway.door.api.manners import DoorView
from slipway.door.models import Batch
from slipway.door.services import batches, words


class _New(words.Request):
    input_file_id: words.Id
    endpoint: str
    completion_window: str
    metadata: words.Metadata | None = None
    output_expires_after: words.ExpiresAfter | None = None


class BatchesView(DoorView):
    module = "inference"

    def get(self, request: Request) -> Response:
        now = timezone.now()
        return Response(
            paging.page(
                batches.rows(project_id=self.project_id),
                request,
                find=lambda given: words.row_id(batches.PREFIX, given, what="batch"),
                shown=lambda batch: batches.shown(batch, now),
            )
        )

    def post(self, request: Request) -> Response:
        new = self.body(_New)
        lives = new.output_expires_after

        def make() -> dict[str, Any]:
            now = timezone.now()
            batch = batches.create(
                project_id=self.project_id,
                key_id=self.request.user.key_id,
                input_file_id=new.input_file_id,
                endpoint=new.endpoint,
                completion_window=new.completion_window,
                metadata=new.metadata,
                output_seconds=lives.seconds if lives else None,
                made_by=self.made_by,
                now=now,
            )
            return batches.shown(batch, now)

        return self.once(msgspec.to_builtins(new), make)


class _BatchView(DoorView):
    module = "inference"

    def batch(self, batch_id: str) -> Batch:
        return batches.of(project_id=self.project_id, batch_id=batch_id)

    def now_shown(self, batch_id: str) -> Response:
        return Response(batches.shown(self.batch(batch_id), timezone.now()))


class BatchView(_BatchView):
    def get(self, request: Request, batch_id: str) -> Response:
        return self.now_shown(batch_id)


class CancelView(_BatchView):
    def post(self, request: Request, batch_id: str) -> Response:
        batches.cancel(self.batch(batch_id), now=timezone.now(), by=self.made_by)
        return self.now_shown(batch_id)


class RetryView(_BatchView):
    """Ours: ask again what failed or was not reached."""

    def post(self, request: Request, batch_id: str) -> Response:
        batches.ask_again(self.batch(batch_id), now=timezone.now(), by=self.made_by)
        return self.now_shown(batch_id)
