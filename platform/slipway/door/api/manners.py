"""HTTP manners of the OpenAI API: its error object, its bodies, its headers, its 404."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError
from rest_framework import exceptions, views
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.backends.objects import StorageFull
from slipway.core import parsing, together
from slipway.core.errors import Conflict, Refused, Unavailable
from slipway.door.services import asked, words
from slipway.door.services.words import Bad
from slipway.tenancy.authentication import KeyAuthentication
from slipway.tenancy.permissions import MayChange

logger = logging.getLogger(__name__)
S = TypeVar("S", bound=msgspec.Struct)

#: What refusals of the platform's domains are called here; others have no code.
_CODES = {"conflict", "forbidden", "unavailable", "not_found", "too_large"}


class DoorView(views.APIView):
    """Every route of the door: an API key, bodies read here, refusals in OpenAI's shape."""

    authentication_classes: ClassVar = [KeyAuthentication]
    permission_classes: ClassVar = [MayChange]
    http_method_names: ClassVar = ["get", "post", "delete", "head"]
    # The door has its own description; the platform's schema is that of /api/v1.
    schema = None

    #: Whose organisation it is, once that is known.
    organisation: UUID | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.began = time.perf_counter()
        super().initial(request, *args, **kwargs)
        self.organisation = getattr(request.user, "organisation_id", None)

    @property
    def project_id(self) -> UUID:
        return UUID(str(self.request.user.project_id))

    @property
    def made_by(self) -> str:
        return str(self.request.user.user_name)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        return refuse

    def handle_exception(self, exc: Exception) -> Response:
        key = self.request.headers.get("idempotency-key", "")
        if isinstance(exc, Bad) and key and self.request.method == "POST":
            try:
                asked.check_unused(project_id=self.project_id, path=self.request.path, key=key)
            except (Conflict, DatabaseError) as error:
                exc = error
        return super().handle_exception(exc)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002 - as DRF calls it
        # Whatever a client says it accepts (files as bytes, say), errors are JSON.
        return self.get_renderers()[0], "application/json"

    def get_parsers(self) -> list[BaseParser]:
        # Bodies are read by `body` and by those who take files, never on the way.
        return []

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        done = super().finalize_response(request, response, *args, **kwargs)
        done["openai-version"] = "2020-10-01"
        if self.organisation is not None:
            done["openai-organization"] = f"org-{self.organisation.hex}"
        spent = time.perf_counter() - getattr(self, "began", time.perf_counter())
        done["openai-processing-ms"] = str(int(spent * 1000))
        return done

    def body(self, kind: type[S]) -> S:
        """The JSON body as `kind`; Bad naming the field that is not what it must be."""
        return read(self.request._request.body, kind)

    def once(
        self,
        given: Any,
        make: Callable[[], dict[str, Any]],
        *,
        status: int = 200,
        secret: bool = False,
    ) -> Response:
        """Do it, or answer as the first time if this is a repetition; a `secret` is kept sealed."""
        together.begin()
        headers = self.request.headers
        code, body = asked.once(
            project_id=self.project_id,
            path=self.request.path,
            given=given,
            key=headers.get("idempotency-key", ""),
            retried=headers.get("x-stainless-retry-count", "0").strip() not in {"", "0"},
            make=lambda: (status, make()),
            secret=secret,
        )
        return Response(body, status=code)


class UnknownView(DoorView):
    """Whatever the door has no route for."""

    permission_classes: ClassVar[list[Any]] = [AllowAny]
    authentication_classes: ClassVar[list[Any]] = []

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.headers: dict[str, str] = {}
        request = self.initialize_request(request, *args, **kwargs)
        self.request = request
        path = request.path[:200]
        answer = Response(
            error_body(
                f"Unknown request URL: {request.method} {path}. GET /v1/openapi.json lists what is "
                "served, docs/openai.md what is not.",
                code="unknown_url",
            ),
            status=404,
        )
        self.response = self.finalize_response(request, answer, *args, **kwargs)
        return self.response


def read(data: bytes, kind: type[S]) -> S:
    """Decode and check a JSON object."""
    try:
        data.decode()
        if parsing.too_deep(data):
            raise Bad(
                f"The body nests arrays and objects deeper than {parsing.DEEPEST} levels; "
                "flatten it."
            )
        # Looked for only where it may be: what else is no text, msgspec refuses.
        if b"\\u0000" in data and (wrong := parsing.unstorable(msgspec.json.decode(data))):
            raise Bad(f"The body holds {wrong}, which is no character of a text.")
        return msgspec.json.decode(data or b"{}", type=kind)
    except UnicodeDecodeError as error:
        raise Bad(
            f"The body is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}."
        ) from error
    except msgspec.ValidationError as error:
        raise words.misshapen(str(error), kind=kind) from error
    except msgspec.DecodeError as error:
        raise Bad(f"The body is not valid JSON: {error}. Send one JSON object.") from error


def error_body(
    message: str, *, status: int = 400, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    if status == 429:
        kind = code or kind
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refuse(error: Exception, context: dict[str, Any]) -> Response:
    """Every refusal and every crash, as an OpenAI client expects it."""
    headers: dict[str, str] = {}
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("the database does not answer", exc_info=error)
        error = Unavailable("The database does not answer just now; try again in a moment.")
    else:
        views.set_rollback()
    if isinstance(error, StorageFull):
        error = Unavailable("The object store has no room left; free space and try again.")
    if isinstance(error, Refused):
        return _refused(error)
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        text = str(error.detail)
        if isinstance(error, exceptions.NotAuthenticated):
            text = "No API key was given; send it as `Authorization: Bearer sk-slip-…`."
        headers["www-authenticate"] = 'Bearer realm="slipway"'
        return Response(error_body(text, code="invalid_api_key"), status=401, headers=headers)
    if isinstance(error, exceptions.MethodNotAllowed):
        allow = ", ".join(m for m in context["view"].allowed_methods if m != "OPTIONS")
        text = f"{context['request'].method} is not allowed here; use {allow}."
        return Response(
            error_body(text, code="method_not_allowed"), status=405, headers={"allow": allow}
        )
    if isinstance(error, exceptions.APIException):
        status = error.status_code
        return Response(
            error_body(str(error.detail), status=status, code=error.default_code), status=status
        )
    logger.error("unhandled error in %s", context.get("view"), exc_info=error)
    text = "Something broke on our side; it was logged under the request id."
    return Response(error_body(text, status=500, code="internal"), status=500)


def _refused(error: Refused) -> Response:
    """The platform says 422 where OpenAI says 400, and has details where OpenAI has one param."""
    status = 400 if error.status == 422 else error.status
    param = getattr(error, "param", None)
    message = error.message
    code: str | None = error.code
    if not isinstance(error, Bad) and code not in _CODES | {"idempotency_in_progress"}:
        code = None
    if error.details:
        param = param or error.details[0].field or None
        fixes = [detail.fix for detail in error.details[:3] if detail.fix]
        message = " ".join([message, *fixes]) if fixes else message
    headers = {}
    if status == 503:
        headers["retry-after"] = "5"
    if status == 429:
        # The one thing that is limited here is money; requests are the gateway's to limit.
        code, param = words.NO_QUOTA, None
        headers["x-should-retry"] = "false"
    if status == 409:
        # Clients send a 409 three times; what stands against it will stand the next time too.
        headers["x-should-retry"] = "true" if getattr(error, "retry", False) else "false"
    return Response(
        error_body(message, status=status, code=code, param=param), status=status, headers=headers
    )
