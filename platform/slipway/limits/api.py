"""The limits of a project: who may ask how much."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.editing import Guarded
from slipway.limits import services
from slipway.limits.models import RateLimit
from slipway.tenancy.permissions import MayChange
from slipway.tenancy.services import Level

_MOST = 1_000_000_000


class RatesIn(serializers.Serializer[Any]):
    requests_per_minute = serializers.IntegerField(
        min_value=1, max_value=_MOST, required=False, allow_null=True, default=None
    )
    tokens_per_minute = serializers.IntegerField(
        min_value=1, max_value=_MOST, required=False, allow_null=True, default=None
    )
    at_once = serializers.IntegerField(
        min_value=1, max_value=_MOST, required=False, allow_null=True, default=None
    )


class RateLimitIn(RatesIn):
    key_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    model = serializers.CharField(max_length=256, required=False, allow_blank=True, default="")


class RateLimitOut(serializers.ModelSerializer[RateLimit]):
    class Meta:
        model = RateLimit
        fields = ["id", "created_at", "key_id", "model", *services.RATES]


class LimitsView(GenericAPIView[Any]):
    """Limits of this project. Without `key_id` and `model` a limit counts the whole project."""

    levels: ClassVar = {"PUT": Level.FULL}
    permission_classes: ClassVar = [MayChange]
    serializer_class = RateLimitOut

    def get_queryset(self) -> Any:
        return RateLimit.objects.filter(project_id=self.request.user.project_id)

    @extend_schema(responses=RateLimitOut(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(RateLimitOut(page, many=True).data)

    @extend_schema(request=RateLimitIn, responses=RateLimitOut)
    def put(self, request: Request) -> Response:
        given = RateLimitIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = services.set_limit(maker=request.user, **given.validated_data)
        return Response(RateLimitOut(row).data)


class LimitView(Guarded):
    guarded = services.RATES
    levels: ClassVar = {"PUT": Level.FULL}
    permission_classes: ClassVar = [MayChange]
    serializer_class = RateLimitOut

    def get(self, request: Request, limit_id: UUID) -> Response:
        return Response(RateLimitOut(services.limit(maker=request.user, limit_id=limit_id)).data)

    @extend_schema(operation_id="limits_change", request=RatesIn, responses=RateLimitOut)
    def put(self, request: Request, limit_id: UUID) -> Response:
        """Other rates for the same key and model."""
        row = services.limit(maker=request.user, limit_id=limit_id)
        given = RatesIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = services.set_limit(
            maker=request.user, key_id=row.key_id, model=row.model, **given.validated_data
        )
        return Response(RateLimitOut(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, limit_id: UUID) -> Response:
        services.lift_limit(maker=request.user, limit_id=limit_id)
        return Response(status=204)


urlpatterns = [
    path("limits", LimitsView.as_view()),
    path("limits/<uuid:limit_id>", LimitView.as_view()),
]
