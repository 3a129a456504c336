"""HTTP manners that every REST route shares: request ids, the error shape, keyset paging."""

from __future__ import annotations

import base64
import json
import logging
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions, serializers, views
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core import compiled
from slipway.core.errors import Detail, Invalid, Refused, Unavailable
from slipway.core.logs import request_id
from slipway.core.parsing import unstorable

logger = logging.getLogger(__name__)
#: Where answers are data for programs, and what browsers are told of them.
_DATA = ("/api/", "/v1/", "/scim/")
_OURS = "Something broke on our side; it was logged under the request id."
_NO_PAGE = "default-src 'none'; frame-ancestors 'none'; sandbox"


class RequestIds:
    """Middleware: every answer carries `x-request-id`, every log line can name it.

    Text of ours is UTF-8, and says so.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id.set(f"req_{secrets.token_hex(12)}")
        response = self.get_response(request)
        response["x-request-id"] = request_id.get()
        kind = response.get("content-type", "")
        if kind.startswith("text/") and "charset" not in kind:
            response["content-type"] = f"{kind}; charset=utf-8"
        if request.path.startswith(_DATA) and not _is_page(response):
            # Nobody keeps an answer, and opened by itself it is text: no script, no frame.
            response.setdefault("cache-control", "no-store")
            response["content-security-policy"] = _NO_PAGE
        if request.path.startswith(("/api/", "/v1/")) and response.status_code >= 400:
            content_type = response.get("content-type", "")
            if not content_type.startswith("application/json"):
                # Django's own pages (unknown path, bad host) speak HTML; a client needs our shape.
                shaped = _plain(response.status_code, request.path)
                for name in response.headers.keys() - {"Content-Type", "Content-Length"}:
                    shaped[name] = response[name]
                shaped["cache-control"] = "no-store"
                return shaped
        return response


def _is_page(response: HttpResponse) -> bool:
    return bool(response.get("content-type", "").startswith("text/html"))


def _plain(status: int, path: str) -> JsonResponse:
    message = {404: f"There is nothing at {path}."}.get(status, "The request was not understood.")
    if status >= 500:
        message = _OURS
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
        error_body("internal", _OURS),
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


class Given(views.APIView):
    """A view that asks for its body field by field."""

    def given(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """What the body says, checked by `kind`; ValidationError (422) where it is wrong."""
        asked = kind(data=self.request.data)
        asked.is_valid(raise_exception=True)
        return dict(asked.validated_data)


class Keyset(BasePagination):
    """Pages by (created_at, id), newest first unless `order` says otherwise.

    The cursor names the order and the last row seen in it: cost does not grow with depth, and rows
    that arrive meanwhile neither repeat nor hide. A view names in `unread` the JSON columns that
    its list only passes on: they come as the text they are stored as (`orjson.Fragment`).
    """

    default_limit, max_limit = 50, 500
    #: What `order` may name, and the column it stands for; `-` before it turns it round.
    columns: ClassVar[dict[str, str]] = {"created": "created_at"}

    @property
    def orders(self) -> list[str]:
        """All values of `order`, the default first."""
        return [f"{sign}{name}" for name in self.columns for sign in ("-", "")]

    def paginate_queryset(
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        limit, order = self._limit(request), self._order(request)
        column = self.columns[order.removeprefix("-")]
        sign, past = ("-", "lt") if order.startswith("-") else ("", "gt")
        cursor = request.query_params.get("cursor")
        if cursor:
            last, key = _decode(cursor, order)
            # The first of the two is no news, but a bound that an index can be entered by.
            queryset = queryset.filter(
                Q(**{f"{column}__{past}e": last}),
                Q(**{f"{column}__{past}": last}) | Q(**{column: last, f"pk__{past}": key}),
            )
        asked = queryset.order_by(f"{sign}{column}", f"{sign}pk")[: limit + 1]
        rows = compiled.rows(asked, unread=getattr(view, "unread", ()))
        more = len(rows) > limit
        self.next_cursor = _encode(rows[limit - 1], order, column) if more else None
        return rows[:limit]

    def _order(self, request: Request) -> str:
        order = request.query_params.get("order", self.orders[0])
        if order not in self.orders:
            rule = f"one of {', '.join(self.orders)}"
            raise Invalid(
                f"This list has no order {order[:50]!r}; order is {rule}.",
                Detail(field="order", rule=rule, value=order[:50], fix=self.orders[0]),
            )
        return str(order)

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
            {
                "name": "order",
                "in": "query",
                "description": "`-` turns it round; a cursor goes on in its own order only",
                "schema": {"type": "string", "enum": self.orders, "default": self.orders[0]},
            },
        ]


class Named(Keyset):
    """The same, by name too: for rows that have one, in lists short enough or indexed by it."""

    columns: ClassVar = {**Keyset.columns, "name": "name"}


class Whole(Keyset):
    """Lists that are short by nature: all of it at once, in the same shape as a page."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.next_cursor = None
        return list(queryset)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []


def _encode(row: Any, order: str, column: str) -> str:
    last = getattr(row, column)
    place = last.isoformat() if isinstance(last, datetime) else last
    key = json.dumps([order, place, str(row.pk)])
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decode(cursor: str, wanted: str) -> tuple[str, str]:
    """Value and id of the last row seen; Invalid where it was not given out for this order."""
    found = _read(cursor)
    if found is None:
        raise Invalid(
            "cursor is not one this API gave out; leave it out to start from the first page.",
            Detail(field="cursor", rule="as returned in next_cursor", value=cursor[:200]),
        )
    order, last, key = found
    if order != wanted:
        raise Invalid(
            f"cursor is of a list with order={order[:50]}, this one has order={wanted}; "
            "leave the cursor out to start from the first page.",
            Detail(field="cursor", rule=f"of a list with order={wanted}", value=cursor[:200]),
        )
    return last, key


def _read(cursor: str) -> tuple[str, str, str] | None:
    try:
        order, last, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        UUID(key)
        if order.removeprefix("-") == "created":
            datetime.fromisoformat(last)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return (order, last, key) if isinstance(last, str) and unstorable(last) is None else None
