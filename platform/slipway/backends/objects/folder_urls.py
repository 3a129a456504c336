"""Signed addresses of the folder store: GET and HEAD of an object, PUT of one part of an upload."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO, cast
from urllib.parse import quote

from django.core.handlers.asgi import ASGIRequest
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    QueryDict,
    StreamingHttpResponse,
)
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from slipway import backends
from slipway.backends.objects import BadKey, BadUpload, Missing, StorageFull, safe_key
from slipway.backends.objects.folder import Folder, Grant

_CHUNK = 256 * 1024
#: Largest part, as S3 has it.
MAX_PART_BYTES = 5 * 1024**3
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@csrf_exempt
@require_http_methods(["GET", "HEAD", "PUT"])
def storage(request: HttpRequest, key: str) -> HttpResponseBase:
    """Serve what the signature allows, and nothing else."""
    store = backends.objects()
    if not isinstance(store, Folder):
        return _say(404, "This installation keeps its objects elsewhere.")
    grant = grant_of(request.method or "GET", key, request.GET)
    if grant is None:
        return _say(403, "This address is not valid, or no longer: ask for a fresh one.")
    if request.method == "PUT":
        return _put(store, request, grant)
    return _get(store, request, grant)


def body_fault(method: str, key: str, query: bytes, length: int | None) -> tuple[int, str] | None:
    """Why a body must not be read at all: (status, what to do); None if it may.

    Django keeps the body of a request before any view sees it, so this is asked before Django.
    """
    if length is None:
        return 411, "Send the length of the part in content-length."
    if length > MAX_PART_BYTES:
        return 413, f"A part has at most {MAX_PART_BYTES} bytes."
    if length and grant_of(method, key, QueryDict(query)) is None:
        return 403, "This address is not valid, or no longer: ask for a fresh one."
    return None


def grant_of(method: str, key: str, query: QueryDict) -> Grant | None:
    """What the query's signature allows, if it is ours, in force, and for this method and key."""
    wanted = "PUT" if method == "PUT" else "GET"
    expires, part = query.get("expires", ""), query.get("partNumber", "0")
    if query.get("method") != wanted or not (_small_number(expires) and _small_number(part)):
        return None
    try:
        grant = Grant(
            method=wanted,
            key=safe_key(key),
            expires=int(expires),
            filename=query.get("filename", ""),
            upload=query.get("uploadId", ""),
            part=int(part),
        )
    except BadKey:
        return None
    return grant if grant.allows(query.get("signature", "")) else None


def _small_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 12


def _put(store: Folder, request: HttpRequest, grant: Grant) -> HttpResponse:
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length.isdecimal():
        return _say(411, "Send the length of the part in content-length.")
    if int(length) > MAX_PART_BYTES:
        return _say(413, f"A part has at most {MAX_PART_BYTES} bytes.")
    try:
        part = store.put_part(
            grant.key,
            grant.upload,
            grant.part,
            cast(BinaryIO, request),
            size_bytes=int(length),
        )
    except BadUpload as error:
        return _say(400, f"{error}.")
    except StorageFull:
        return _say(507, "The store has no room left; free space and send this part again.")
    return HttpResponse(status=200, headers={"etag": f'"{part.etag}"'})


def _get(store: Folder, request: HttpRequest, grant: Grant) -> HttpResponseBase:
    try:
        size = store.stat(grant.key).size_bytes
    except Missing:
        return _say(404, "This object was removed.")
    headers = {
        "accept-ranges": "bytes",
        "content-type": "application/octet-stream",
        "cache-control": "private, no-store",
        # Files of users are never shown in place: a browser must not run them.
        "content-disposition": f"attachment; filename*=UTF-8''{quote(grant.filename or 'file')}",
    }
    asked = _RANGE.match(request.headers.get("range", ""))
    start, end = _span(asked, size) if asked else (0, size)
    if start >= end and asked:
        return _say(416, "This range is outside the object.", {"content-range": f"bytes */{size}"})
    if asked:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    status = 206 if asked else 200
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers)
    file = store.open(grant.key, start=start, length=end - start)
    # Under ASGI a plain iterator would be read whole before its first byte is sent.
    body = _chunks_later(file) if isinstance(request, ASGIRequest) else _chunks(file)
    return StreamingHttpResponse(body, status=status, headers=headers)


def _span(asked: re.Match[str], size: int) -> tuple[int, int]:
    """First byte and the one after the last; empty if the range cannot be met."""
    first, last = asked.groups()
    if len(first) > 18 or len(last) > 18:
        return 0, 0
    if first:
        return int(first), min(int(last) + 1, size) if last else size
    return (max(0, size - int(last)), size) if last and int(last) else (0, 0)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk


async def _chunks_later(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


def _say(status: int, text: str, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain", headers=headers)


urlpatterns = [path("<path:key>", storage, name="storage")]
