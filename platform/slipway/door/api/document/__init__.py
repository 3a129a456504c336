"""The OpenAPI document of /v1, made of what the routes read and answer; served to anybody."""

from __future__ import annotations

import functools
import re
from typing import Any, ClassVar

import msgspec
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.door.api.document import asking, kept, organization
from slipway.door.api.document.objects import OBJECTS
from slipway.door.api.document.words import STRING, Operation, Schema, ref
from slipway.door.api.manners import DoorView

OPERATIONS: dict[str, dict[str, Operation]] = {
    **asking.OPERATIONS,
    **kept.OPERATIONS,
    **organization.OPERATIONS,
}
_REF = "#/$defs/"


class DocumentView(DoorView):
    permission_classes: ClassVar[list[Any]] = [AllowAny]
    authentication_classes: ClassVar[list[Any]] = []

    def get(self, request: Request) -> Response:
        return Response(document())


@functools.cache
def document() -> dict[str, Any]:
    """The whole document, OpenAPI 3.1."""
    schemas: dict[str, Schema] = dict(OBJECTS)
    paths: dict[str, Any] = {}
    for path, methods in OPERATIONS.items():
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": STRING | {"minLength": 1}}
            for name in re.findall(r"\{(\w+)\}", path)
        ]
        shown = {verb: _operation(told, schemas) for verb, told in methods.items()}
        paths[path] = shown | ({"parameters": parameters} if parameters else {})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Slipway: the OpenAI-compatible API",
            "version": "1",
            "description": "What is served of OpenAI's API, and how. Keys in answers that are "
            "not listed here may be there too; keys in bodies may not.",
        },
        "servers": [{"url": "/v1"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(told: Operation, schemas: dict[str, Schema]) -> dict[str, Any]:
    content: dict[str, Any] = (
        {"application/octet-stream": {"schema": told.answer}}
        if told.bytes
        else {"application/json": {"schema": told.answer}}
    )
    if told.events:
        content["text/event-stream"] = {"schema": STRING}
    error = {
        "description": "Refused.",
        "content": {"application/json": {"schema": ref("Error")}},
    }
    shown: dict[str, Any] = {
        "operationId": told.id,
        "summary": told.tells,
        "responses": {
            str(told.status): {"description": told.tells, "content": content},
            "4XX": error,
            "503": error,
        },
    }
    if told.query:
        shown["parameters"] = [
            {"name": query.name, "in": "query", "required": query.required, "schema": query.schema}
            for query in told.query
        ]
    if told.form is not None:
        shown["requestBody"] = _body("multipart/form-data", told.form)
    elif isinstance(told.body, dict):
        shown["requestBody"] = _body("application/json", told.body)
    elif told.body is not None:
        needed = any(field.required for field in msgspec.structs.fields(told.body))
        shown["requestBody"] = _body("application/json", _of_struct(told, schemas), required=needed)
    return shown


def _body(kind: str, schema: Schema, *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {kind: {"schema": schema}}}


def _of_struct(told: Operation, schemas: dict[str, Schema]) -> Schema:
    """The schema of a struct; those it is made of are named after the operation."""
    prefix = told.id[0].upper() + told.id[1:]

    def named(found: Any) -> Any:
        if isinstance(found, list):
            return [named(each) for each in found]
        if not isinstance(found, dict):
            return found
        changed = {key: named(value) for key, value in found.items()}
        if str(changed.get("$ref", "")).startswith(_REF):
            changed["$ref"] = f"#/components/schemas/{prefix}{_plain(changed['$ref'])}"
        # Documentation of OpenAPI's own, which tools that make data stumble over.
        changed.pop("discriminator", None)
        return changed

    made = msgspec.json.schema(told.body)
    for name, schema in made.pop("$defs", {}).items():
        schemas[f"{prefix}{_plain(name)}"] = named(schema)
    return dict(named(made))


def _plain(name: str) -> str:
    return name.removeprefix(_REF).strip("_")
