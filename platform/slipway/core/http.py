"""HTTP manners that every REST route shares: request ids, the error shape, keyset paging."""

from __future__ import annotations

import base64
import json
import logging
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions, views
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.errors import Detail, Invalid, Refused, Unavailable

logger = logging.getLogger(__name__)
request_id: ContextVar[str] = ContextVar("request_id", default="")


class RequestIds:
    """Middleware: every answer carries `x-request-id`, every log line can name it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id.set(f"req_{secrets.token_hex(12)}")
        response = self.get_response(request)
        response["x-request-id"] = request_id.get()
        if request.path.startswith(("/api/", "/v1/")) and response.status_code >= 400:
            content_type = response.get("content-type", "")
            if not content_type.startswith("application/json"):
                # Django's own pages (unknown path, bad host) speak HTML; a client needs our shape.
                shaped = _plain(response.status_code, request.path)
                shaped["x-request-id"] = request_id.get()
                return shaped
        return response


def _plain(status: int, path: str) -> JsonResponse:
    message = f"There is nothing at {path}." if status == 404 else "The request was not understood."
    if path.startswith("/v1/"):
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": None}
        return JsonResponse({"error": error}, status=status)
    return JsonResponse(
        error_body("not_found" if status == 404 else "error", message), status=status
    )


def error_body(code: str, message: str, details: tuple[Detail, ...] = ()) -> dict[str, Any]:
    return {
        "error": {
            "code": code,
            "message": message,
            "details": [detail.as_dict() for detail in details],
            "request_id": request_id.get(),
        }
    }


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: every refusal and every crash leaves in the one error shape."""
    if not isinstance(error, OperationalError | InterfaceError):
        views.set_rollback()
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("the database does not answer", exc_info=error)
        error = Unavailable("The database does not answer just now; try again in a moment.")
    if isinstance(error, Refused):
        headers = {"retry-after": "5"} if error.status == 503 else None
        body = error_body(error.code, error.message, error.details)
        return Response(body, status=error.status, headers=headers)
    if isinstance(error, Http404):
        return Response(error_body("not_found", "There is no such thing here."), status=404)
    if isinstance(error, PermissionDenied):
        return Response(error_body("forbidden", str(error) or "Not allowed."), status=403)
    if isinstance(error, exceptions.ValidationError):
        details = tuple(_details("", error.detail))
        message = "; ".join(f"{d.field}: {d.rule}" if d.field else d.rule for d in details)
        return Response(error_body("invalid", message, details), status=422)
    if isinstance(error, exceptions.APIException):
        headers = {}
        if (challenge := getattr(error, "auth_header", None)) is not None:
            headers["www-authenticate"] = challenge
        code = str(error.default_code)
        return Response(
            error_body(code, str(error.detail)), status=error.status_code, headers=headers
        )
    logger.error("unhandled error in %s", context.get("view"), exc_info=error)
    return Response(
        error_body("internal", "Something broke on our side; it was logged under the request id."),
        status=500,
    )


def _details(path: str, detail: Any) -> list[Detail]:
    if isinstance(detail, dict):
        return [
            found
            for key, value in detail.items()
            for found in _details(f"{path}.{key}" if path else str(key), value)
        ]
    if isinstance(detail, list):
        return [
            found
            for index, value in enumerate(detail)
            for found in _details(
                f"{path}[{index}]" if isinstance(value, dict | list) else path, value
            )
        ]
    return [Detail(field="" if path == "non_field_errors" else path, rule=str(detail))]


class Keyset(BasePagination):
    """Pages by (created_at, id), newest first; the cursor names the last row seen.

    Cost does not grow with depth, and rows that arrive meanwhile neither repeat nor hide.
    """

    default_limit, max_limit = 50, 500

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        limit = self._limit(request)
        cursor = request.query_params.get("cursor")
        if cursor:
            at, key = _decode(cursor)
            queryset = queryset.filter(Q(created_at__lt=at) | Q(created_at=at, pk__lt=key))
        rows = list(queryset.order_by("-created_at", "-pk")[: limit + 1])
        self.next_cursor = _encode(rows[limit - 1]) if len(rows) > limit else None
        return rows[:limit]

    def _limit(self, request: Request) -> int:
        raw = request.query_params.get("limit", str(self.default_limit))
        if not raw.isdecimal() or len(raw) > 9 or not 1 <= int(raw) <= self.max_limit:
            raise Invalid(
                f"limit must be a whole number from 1 to {self.max_limit}, not {raw[:50]!r}.",
                Detail(field="limit", rule=f"1…{self.max_limit}", value=raw),
            )
        return int(raw)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "next_cursor": self.next_cursor})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["data", "next_cursor"],
            "properties": {
                "data": schema,
                "next_cursor": {"type": "string", "nullable": True},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": self.max_limit},
            },
            {"name": "cursor", "in": "query", "schema": {"type": "string"}},
        ]


class Whole(Keyset):
    """Lists that are short by nature: all of it at once, in the same shape as a page."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.next_cursor = None
        return list(queryset)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []


def _encode(row: Any) -> str:
    key = json.dumps([row.created_at.isoformat(), str(row.pk)])
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[str, str]:
    from datetime import datetime
    from uuid import UUID

    try:
        at, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        datetime.fromisoformat(at)
        UUID(key)
    except (ValueError, TypeError) as error:
        raise Invalid(
            "cursor is not one this API gave out; leave it out to start from the first page.",
            Detail(field="cursor", rule="as returned in next_cursor", value=cursor),
        ) from error
    return at, key
