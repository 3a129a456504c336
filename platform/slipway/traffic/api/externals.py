"""REST for external models: registered by an owner, their credentials never shown again."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.editing import Guarded
from slipway.core.http import Given, Named
from slipway.tenancy.permissions import MayChange
from slipway.tenancy.services import Level
from slipway.traffic import services
from slipway.traffic.models import External


class ExternalIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63, help_text="what clients pass as `model`")
    url = serializers.CharField(
        max_length=1024, help_text="such as https://api.example.com/v1; asked below it"
    )
    model = serializers.CharField(
        max_length=256, required=False, default="", allow_blank=True,
        help_text="what the other server calls it; the same name if left out",
    )  # fmt: skip
    credential = serializers.CharField(
        max_length=4096, required=False, default="", allow_blank=True, write_only=True,
        help_text="API key for the other server; stored sealed, never shown",
    )  # fmt: skip
    timeout_seconds = serializers.IntegerField(
        min_value=1, max_value=600, required=False, default=120, help_text="the longest silence"
    )


class ExternalChange(serializers.Serializer[Any]):
    url = serializers.CharField(max_length=1024, required=False)
    model = serializers.CharField(max_length=256, required=False)
    credential = serializers.CharField(
        max_length=4096, required=False, allow_blank=True, write_only=True
    )
    timeout_seconds = serializers.IntegerField(min_value=1, max_value=600, required=False)


class ExternalOut(serializers.ModelSerializer[External]):
    class Meta:
        model = External
        fields = [
            "id",
            "created_at",
            "name",
            "url",
            "model",
            "credential_hint",
            "timeout_seconds",
            "made_by",
            "changed_at",
            "checked_at",
            "trouble",
            "down",
            "failures",
            "next_check_at",
        ]


class _View(Given, GenericAPIView[Any]):
    permission_classes: ClassVar = [MayChange]
    serializer_class: Any = ExternalOut

    def row(self, external_id: UUID) -> External:
        return services.external_row(
            project_id=self.request.user.project_id, external_id=external_id
        )


class ExternalsView(_View):
    """External models of this project; `?name=` finds one by name."""

    pagination_class = Named
    levels: ClassVar = {"POST": Level.FULL}

    @extend_schema(
        operation_id="externals_list",
        parameters=[OpenApiParameter("name", str)],
        responses=ExternalOut(many=True),
    )
    def get(self, request: Request) -> Response:
        rows = External.objects.filter(project_id=request.user.project_id)
        if name := request.query_params.get("name"):
            rows = rows.filter(name=name)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(ExternalOut(page, many=True).data)

    @extend_schema(request=ExternalIn, responses={201: ExternalOut})
    def post(self, request: Request) -> Response:
        user = request.user
        row = services.register(
            project_id=user.project_id, made_by=user.user_name, now=timezone.now(),
            **self.given(ExternalIn),
        )  # fmt: skip
        return Response(ExternalOut(row).data, status=201)


class ExternalView(Guarded, _View):
    guarded: ClassVar = ("url", "model", "timeout_seconds")
    levels: ClassVar = {"PATCH": Level.FULL}

    def get(self, request: Request, external_id: UUID) -> Response:
        return Response(ExternalOut(self.row(external_id)).data)

    @extend_schema(request=ExternalChange, responses=ExternalOut)
    def patch(self, request: Request, external_id: UUID) -> Response:
        row = self.row(external_id)
        row = services.change(row, now=timezone.now(), **self.given(ExternalChange))
        return Response(ExternalOut(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, external_id: UUID) -> Response:
        services.forget(self.row(external_id))
        return Response(status=204)


class ExternalCheckView(_View):
    """Ask the other server whether it is there and takes the credential."""

    # Asking costs somebody else's time, as any call of a model.
    module = "inference"
    waits = True

    @extend_schema(request=None, responses=ExternalOut)
    def post(self, request: Request, external_id: UUID) -> Response:
        row = services.check(self.row(external_id), now=timezone.now())
        return Response(ExternalOut(row).data)


urlpatterns = [
    path("externals", ExternalsView.as_view()),
    path("externals/<uuid:external_id>", ExternalView.as_view()),
    path("externals/<uuid:external_id>/check", ExternalCheckView.as_view()),
]
