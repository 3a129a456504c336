"""Multipart bodies whose file goes straight into the object store, a piece at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework.request import Request

from slipway.door.services import files
from slipway.door.services.words import Bad


class _IntoStore(FileUploadHandler):
    """Lets the first file of the wanted field land; a second one is refused."""

    def __init__(
        self, stack: contextlib.ExitStack, project_id: UUID, field: str, most_bytes: int
    ) -> None:
        super().__init__()
        self._stack, self._project, self._field, self._most = stack, project_id, field, most_bytes
        self.landed: files.Landing | None = None
        self.filename = ""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.field_name != self._field:
            raise Bad(f"There is no field {str(self.field_name)[:50]!r} here.", param=self._field)
        if self.landed is not None:
            raise Bad("Send one file at a time.", param=self._field)
        landing = files.landing(project_id=self._project, most_bytes=self._most)
        self.landed = self._stack.enter_context(landing)
        self.filename = self.file_name or ""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self.landed is not None:
            self.landed.write(raw_data)

    def file_complete(self, file_size: int) -> None:
        return None


class _Parser(MultiPartParser):
    """Keeps every file that has a name: Django drops those of which its own rules leave nothing."""

    def sanitize_file_name(self, file_name: str) -> str:
        return files.plain_name(file_name)


class Form:
    """The fields of a multipart body, and its file, which has landed once the block ends."""

    def __init__(self, fields: dict[str, str], landed: files.Landing, filename: str) -> None:
        self.fields, self.landed, self.filename = fields, landed, filename

    def one(self, name: str) -> str:
        if not self.fields.get(name):
            raise Bad(f"{name} is missing; give it.", param=name, code="missing_required_parameter")
        return self.fields[name]


@contextlib.contextmanager
def form(request: Request, *, project_id: UUID, field: str, most_bytes: int) -> Iterator[Form]:
    """Read the body. The file is kept if the block ends well and forgotten if it does not."""
    raw = request._request
    if not (request.content_type or "").startswith("multipart/form-data"):
        given = (request.content_type or "").partition(";")[0][:100] or "no type"
        raise Bad(
            f"Send this as multipart/form-data with the bytes in the field {field}; this is "
            f"{given}.",
            param=field, code="invalid_content_type",
        )  # fmt: skip
    with contextlib.ExitStack() as stack:
        handler = _IntoStore(stack, project_id, field, most_bytes)
        try:
            fields, _ = _Parser(raw.META, raw, [handler], "utf-8").parse()
        except (MultiPartParserError, SuspiciousOperation, BadRequest, ValueError) as error:
            raise Bad(f"The multipart body cannot be read: {error}") from error
        if handler.landed is None:
            raise Bad(f"{field} is missing; send a file.", param=field,
                      code="missing_required_parameter")  # fmt: skip
        given = {}
        for name, values in fields.lists():
            if "\0" in name + "".join(values):
                raise Bad(f"{name[:50]!r} holds the character U+0000.", param=field)
            given[name] = values[-1]
        yield Form(given, handler.landed, handler.filename)
