"""How large a body of the door may be; asked before a byte of it is read."""

from __future__ import annotations

import re

from django.conf import settings

from slipway.door.services import files, uploads

#: What a multipart body holds beside its file.
_FRAME_BYTES = 1024 * 1024
_PART = re.compile(r"/v1/uploads/[^/]+/parts")


def most_bytes(method: str, path: str) -> int:
    if method == "POST" and path == "/v1/files":
        return files.MOST_BYTES + _FRAME_BYTES
    if method == "POST" and _PART.fullmatch(path):
        return uploads.PART_BYTES + _FRAME_BYTES
    return settings.DATA_UPLOAD_MAX_MEMORY_SIZE
