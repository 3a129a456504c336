"""SCIM 2.0 over HTTP (RFC 7644): what directories such as Entra ID, Okta and Keycloak speak."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.urls import path, re_path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from pydantic import ValidationError
from rest_framework import exceptions, renderers, views
from rest_framework.request import Request
from rest_framework.response import Response
from scim2_models import (
    Context,
    Error,
    InvalidSyntaxException,
    ListResponse,
    NotFoundException,
    PatchOp,
    ResourceType,
    Schema,
    SCIMException,
    SearchRequest,
)

from slipway.core.errors import Refused
from slipway.core.http import exception_handler
from slipway.core.parsing import Json
from slipway.tenancy.authentication import ScimAuthentication
from slipway.tenancy.services import Level
from slipway.tenancy.services.scim import kept
from slipway.tenancy.services.scim.drawing import MOST, SERVICE, GroupResource, UserResource

TYPE = "application/scim+json"
#: Each is made for a kind of resource while the program runs, which types cannot follow.
_LIST: Any = ListResponse
_SEARCH: Any = SearchRequest
_PATCH: Any = PatchOp
#: The filters that directories ask all the time, each answered by a column.
_PLAIN = re.compile(r'\s*(\w+)\s+eq\s+"([^"\\]*)"\s*', re.IGNORECASE)


class Parser(Json):
    media_type = TYPE


class Renderer(renderers.JSONRenderer):
    media_type = TYPE
    charset = None


class _View(views.APIView):
    """A token of the organisation, and SCIM's own shapes for answers and errors."""

    schema = None
    module = "organisation"
    levels: ClassVar = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), Level.FULL)
    authentication_classes: ClassVar = [ScimAuthentication]
    parser_classes: ClassVar = [Parser, Json]
    renderer_classes: ClassVar = [Renderer, renderers.JSONRenderer]

    def handle_exception(self, error: Exception) -> Response:
        """Every refusal as RFC 7644 §3.12 draws it."""
        plain = super().handle_exception(_translated(error))
        if isinstance(error, ValidationError):
            told = Error.from_validation_errors(error)[0]
        elif isinstance(error, SCIMException):
            told = error.to_error()
        else:
            message = str(plain.data["error"]["message"])
            told = Error(status=plain.status_code, detail=message)
        answer = Response(told.model_dump(), status=told.status)
        if "www-authenticate" in plain:
            answer["www-authenticate"] = plain["www-authenticate"]
        answer.exception = True
        return answer

    def get_exception_handler(self) -> Any:
        return exception_handler

    def kind(self, plural: str) -> Any:
        made = {"Users": kept.Users, "Groups": kept.Groups}[plural]
        return made(self.request.user.organisation_id, base(), timezone.now())


class _Said(Refused):
    """Something that SCIM has words of its own for; only rolls back what was begun."""


def _translated(error: Exception) -> Exception:
    return _Said(str(error)) if isinstance(error, ValidationError | SCIMException) else error


def base() -> str:
    return f"{settings.PUBLIC_URL}/scim/v2"


def _body(request: Request) -> Any:
    if not isinstance(request.data, dict):
        raise InvalidSyntaxException(detail="The body must be a JSON object.")
    return request.data


class ListView(_View):
    """Users or groups: found by filter, and made."""

    plural = ""

    def get(self, request: Request) -> Response:
        return self.found(dict(request.query_params.items()), Context.RESOURCE_QUERY_RESPONSE)

    def found(self, given: dict[str, Any], context: Context) -> Response:
        """The page of resources that a query asks for."""
        kind = self.kind(self.plural)
        asked = _SEARCH[kind.resource].model_validate(given)
        rows = kind.rows()
        first = asked.start_index_0 or 0
        count = min(MOST, MOST if asked.count is None else asked.count)
        quick = _quick(rows, kind.columns, asked)
        if quick is not None:
            total, page = quick.count(), kind.drawn(list(quick[first : first + count]))
        else:
            match = asked.filter.match if asked.filter else bool
            fitting = [each for each in kind.drawn(list(rows)) if match(each)]
            total, page = len(fitting), asked.sort(fitting)[first : first + count]
        answer = _LIST[kind.resource](
            total_results=total, start_index=first + 1, items_per_page=len(page), resources=page
        )
        return Response(answer.model_dump(scim_ctx=context, response_parameters=asked))

    def post(self, request: Request) -> Response:
        kind = self.kind(self.plural)
        drawn = kind.resource.model_validate(
            _body(request), scim_ctx=Context.RESOURCE_CREATION_REQUEST
        )
        (made,) = kind.drawn([kind.create(drawn)])
        told = made.model_dump(scim_ctx=Context.RESOURCE_CREATION_RESPONSE)
        return Response(told, status=201, headers={"location": told["meta"]["location"]})


class SearchView(ListView):
    """The same query in a body (RFC 7644 §3.4.3)."""

    http_method_names: ClassVar = ["post", "options"]

    def post(self, request: Request) -> Response:
        return self.found(_body(request), Context.SEARCH_RESPONSE)


class EverythingView(_View):
    """Users and groups in one search (RFC 7644 §3.4.3)."""

    def post(self, request: Request) -> Response:
        kinds = [self.kind(plural) for plural in ("Users", "Groups")]
        asked = _SEARCH[UserResource | GroupResource].model_validate(_body(request))
        match = asked.filter.match if asked.filter else bool
        every = [each for kind in kinds for each in kind.drawn(list(kind.rows()))]
        fitting = asked.sort([each for each in every if match(each)])
        first, count = asked.start_index_0 or 0, MOST if asked.count is None else asked.count
        page = fitting[first : first + min(MOST, count)]
        answer = _LIST[UserResource | GroupResource](
            total_results=len(fitting), start_index=first + 1, items_per_page=len(page),
            resources=page,
        )  # fmt: skip
        return Response(
            answer.model_dump(scim_ctx=Context.SEARCH_RESPONSE, response_parameters=asked)
        )


class OneView(_View):
    """One user or group."""

    plural = ""

    def get(self, request: Request, key: str) -> Response:
        kind = self.kind(self.plural)
        asked = _SEARCH[kind.resource].model_validate(dict(request.query_params.items()))
        (drawn,) = kind.drawn([kept.one(kind, key)])
        told = drawn.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked)
        return Response(told)

    def put(self, request: Request, key: str) -> Response:
        kind = self.kind(self.plural)
        row = kept.one(kind, key)
        (before,) = kind.drawn([row])
        wanted = kind.resource.model_validate(
            _body(request), scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST
        )
        wanted.replace(before)
        kind.write(row, wanted)
        (after,) = kind.drawn([row])
        return Response(after.model_dump(scim_ctx=Context.RESOURCE_REPLACEMENT_RESPONSE))

    def patch(self, request: Request, key: str) -> Response:
        kind = self.kind(self.plural)
        row = kept.one(kind, key)
        (drawn,) = kind.drawn([row])
        patch = _PATCH[kind.resource].model_validate(
            _body(request), scim_ctx=Context.RESOURCE_PATCH_REQUEST
        )
        if patch.patch(drawn):
            kind.write(row, drawn)
        (after,) = kind.drawn([row])
        return Response(after.model_dump(scim_ctx=Context.RESOURCE_PATCH_RESPONSE))

    def delete(self, request: Request, key: str) -> Response:
        kind = self.kind(self.plural)
        kind.delete(kept.one(kind, key))
        return Response(status=204)


class DescriptionView(_View):
    """What this service is: its config, resource types and schemas, for whoever has a token."""

    what = ""

    def get(self, request: Request, key: str = "") -> Response:
        if "filter" in request.query_params:
            raise exceptions.PermissionDenied("What describes the service is not filtered.")
        if self.what == "ServiceProviderConfig":
            return Response(self._drawn(SERVICE.config, "ServiceProviderConfig"))
        every = SERVICE.resource_types if self.what == "ResourceTypes" else SERVICE.schemas
        if key:
            for each in every:
                if str(each.id).lower() == key.lower():
                    return Response(self._drawn(each, f"{self.what}/{each.id}"))
            raise NotFoundException(detail=f"{self.what} {key[:120]!r} is not here")
        kind: Any = ResourceType if self.what == "ResourceTypes" else Schema
        told = _LIST[kind](
            total_results=len(every), items_per_page=len(every), start_index=1, resources=[]
        ).model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
        drawn = [self._drawn(each, f"{self.what}/{each.id}") for each in every]
        return Response(told | {"Resources": drawn})

    def _drawn(self, each: Any, where: str) -> Any:
        kind = where.partition("/")[0].removesuffix("s" if "/" in where else "")
        told = each.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
        return told | {"meta": {"resourceType": kind, "location": f"{base()}/{where}"}}


def _quick(rows: QuerySet[Any], columns: dict[str, str], asked: Any) -> Any:
    """Rows that answer a query by columns alone; None if each resource has to be looked at."""
    if asked.sort_by is not None:
        return None
    if asked.filter is None:
        return rows
    plain = _PLAIN.fullmatch(str(asked.filter))
    column = columns.get(plain[1].lower()) if plain else None
    if plain is None or column is None:
        return None
    return rows.filter(**{column: plain[2].lower() if column == "user_name" else plain[2]})


@csrf_exempt
def nothing(request: HttpRequest) -> JsonResponse:
    """Paths below the base that lead nowhere."""
    told = Error(status=404, detail=f"There is nothing at {request.path[:200]}.")
    return JsonResponse(told.model_dump(), status=404, content_type=TYPE)


urlpatterns = [
    path(".search", EverythingView.as_view()),
    path("ServiceProviderConfig", DescriptionView.as_view(what="ServiceProviderConfig")),
    path("ResourceTypes", DescriptionView.as_view(what="ResourceTypes")),
    path("ResourceTypes/<str:key>", DescriptionView.as_view(what="ResourceTypes")),
    path("Schemas", DescriptionView.as_view(what="Schemas")),
    path("Schemas/<str:key>", DescriptionView.as_view(what="Schemas")),
    *(
        route
        for plural in ("Users", "Groups")
        for route in (
            path(plural, ListView.as_view(plural=plural)),
            path(f"{plural}/.search", SearchView.as_view(plural=plural)),
            path(f"{plural}/<str:key>", OneView.as_view(plural=plural)),
        )
    ),
    re_path("", nothing),
]
