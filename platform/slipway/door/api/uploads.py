"""/v1/uploads, with a GET that tells which parts are there."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api.manners import DoorView
from slipway.door.api.multipart import form
from slipway.door.models import Upload
from slipway.door.services import files, uploads, words
from slipway.door.services.words import Bad


class _New(words.Request):
    filename: words.Name
    purpose: str
    bytes: int
    mime_type: Annotated[str, msgspec.Meta(max_length=255)]
    expires_after: words.ExpiresAfter | None = None


class _Complete(words.Request):
    part_ids: Annotated[list[words.Id], msgspec.Meta(min_length=1, max_length=10_000)]
    md5: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class _View(DoorView):
    module = "datasets"

    def upload(self, upload_id: str) -> Upload:
        return uploads.of(project_id=self.project_id, upload_id=upload_id)


class UploadsView(_View):
    def post(self, request: Request) -> Response:
        new = self.body(_New)

        def make() -> dict[str, Any]:
            upload = uploads.create(
                project_id=self.project_id,
                filename=new.filename,
                purpose=new.purpose,
                size_bytes=new.bytes,
                mime_type=new.mime_type,
                lives_seconds=new.expires_after.seconds if new.expires_after else None,
                made_by=self.made_by,
                now=timezone.now(),
            )
            return uploads.shown(upload, timezone.now())

        return self.once(msgspec.to_builtins(new), make)


class UploadView(_View):
    def get(self, request: Request, upload_id: str) -> Response:
        upload = self.upload(upload_id)
        return Response(uploads.shown(upload, timezone.now(), with_parts=True))


class PartsView(_View):
    waits = True

    def post(self, request: Request, upload_id: str) -> Response:
        upload = self.upload(upload_id)
        uploads.pending(upload, timezone.now())
        with form(
            request, project_id=self.project_id, field="data", most_bytes=uploads.PART_BYTES
        ) as got:
            if got.fields:
                raise Bad("A part has no field but data.", param=min(got.fields)[:100])
            if not got.landed.size_bytes:
                raise Bad("A part has at least one byte.", param="data")
        kept: list[bool] = []

        def keep() -> dict[str, Any]:
            kept.append(True)
            return uploads.part_shown(uploads.add_part(upload, got.landed, timezone.now()))

        try:
            return self.once({"md5": got.landed.md5, "sha256": got.landed.sha256}, keep)
        finally:
            if not kept:
                files.forget_landed(got.landed)


class CompleteView(_View):
    waits = True

    def post(self, request: Request, upload_id: str) -> Response:
        wish = self.body(_Complete)
        now = timezone.now()
        done = uploads.complete(
            self.upload(upload_id), part_ids=wish.part_ids, md5=wish.md5, now=now
        )
        return Response(uploads.shown(done, now))


class CancelView(_View):
    def post(self, request: Request, upload_id: str) -> Response:
        now = timezone.now()
        return Response(uploads.shown(uploads.cancel(self.upload(upload_id), now), now))
