"""/v1/files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.backends.objects import Missing
from slipway.core.errors import NotFound
from slipway.door.api import paging
from slipway.door.api.manners import DoorView
from slipway.door.api.multipart import Form, form
from slipway.door.models import File
from slipway.door.services import files, words
from slipway.door.services.words import Bad

_FIELDS = {"purpose", "expires_after[anchor]", "expires_after[seconds]"}


class FilesView(DoorView):
    module = "datasets"
    waits = True

    def get(self, request: Request) -> Response:
        if purpose := request.query_params.get("purpose", ""):
            files.check_purpose(purpose, listed=True)
        rows = files.rows(project_id=self.project_id, now=timezone.now(), purpose=purpose)
        return Response(
            paging.page(
                rows,
                request,
                find=lambda given: words.row_id(files.PREFIX, given, what="File"),
                shown=files.shown,
                default=10_000,
                most=10_000,
            )
        )

    def post(self, request: Request) -> Response:
        with form(
            request, project_id=self.project_id, field="file", most_bytes=files.MOST_BYTES
        ) as got:
            if strange := set(got.fields) - _FIELDS:
                name = min(strange)[:100]
                raise Bad(
                    f"Unrecognized request argument supplied: {name}.",
                    param=name,
                    code="unknown_parameter",
                )
            purpose = got.one("purpose")
            files.check_purpose(purpose)
            seconds = _life(got)
            if not got.landed.size_bytes:
                raise Bad("The file is empty.", param="file", code="empty_file")
        filename = files.plain_name(got.filename)
        kept: list[File] = []

        def keep() -> dict[str, Any]:
            kept.append(
                files.keep(
                    project_id=self.project_id,
                    landed=got.landed,
                    filename=filename,
                    purpose=purpose,
                    lives_seconds=seconds,
                    made_by=self.made_by,
                    now=timezone.now(),
                )
            )
            return files.shown(kept[0])

        given = {"sha256": got.landed.sha256, "filename": filename, "fields": got.fields}
        try:
            return self.once(given, keep)
        finally:
            if not kept:
                files.forget_landed(got.landed)


def _life(got: Form) -> int | None:
    anchor = got.fields.get("expires_after[anchor]")
    raw = got.fields.get("expires_after[seconds]")
    if anchor is None and raw is None:
        return None
    if anchor != "created_at":
        raise Bad("expires_after[anchor] must be created_at.", param="expires_after.anchor")
    if not raw or not raw.isascii() or not raw.isdecimal() or len(raw) > 9:
        raise Bad("expires_after[seconds] must be a whole number.", param="expires_after.seconds")
    if not 3600 <= int(raw) <= 2_592_000:
        raise Bad(
            f"expires_after[seconds] must be from 3600 to 2592000, not {raw}.",
            param="expires_after.seconds",
        )
    return int(raw)


class FileView(DoorView):
    module = "datasets"

    def get(self, request: Request, file_id: str) -> Response:
        file = files.of(project_id=self.project_id, file_id=file_id, now=timezone.now())
        return Response(files.shown(file))

    def delete(self, request: Request, file_id: str) -> Response:
        file = files.of(project_id=self.project_id, file_id=file_id, now=timezone.now())
        files.delete(file)
        return Response({"id": file_id, "object": "file", "deleted": True})


class ContentView(DoorView):
    module = "datasets"

    def get(self, request: Request, file_id: str) -> StreamingHttpResponse:
        file = files.of(project_id=self.project_id, file_id=file_id, now=timezone.now())
        pieces = files.stream(file)
        try:
            first = next(pieces, b"")
        except Missing as error:
            raise NotFound("The bytes of this file are gone.") from error
        headers = {
            "content-type": "application/octet-stream",
            "cache-control": "private, no-store",
            "content-disposition": f"attachment; filename*=UTF-8''{quote(file.filename)}",
        }
        if file.key and not files.growing(file):
            headers["content-length"] = str(file.size_bytes)
        # Under ASGI a plain iterator would be read whole before its first byte is sent.
        later = isinstance(request._request, ASGIRequest)
        body = _later(first, pieces) if later else _now(first, pieces)
        return StreamingHttpResponse(body, headers=headers)


def _now(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


async def _later(first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    # In the request's own thread, whose database connection is closed with the request.
    following = sync_to_async(lambda: next(pieces, b""), thread_sensitive=True)
    while data := await following():
        yield data
