"""Targets of notices and what was sent to them, over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.http import Whole
from slipway.notices import services
from slipway.notices.models import Delivery, Happening, Phase, Target
from slipway.tenancy.services import Level

_WANTS = [(value, value) for value in Happening.values if value != Happening.TEST]


class TargetIn(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(Target.Kind.choices)
    address = serializers.CharField(
        max_length=1024, help_text="A mail address of somebody here, or https://…"
    )
    wants = serializers.ListField(
        child=serializers.ChoiceField(_WANTS), required=False, help_text="Everything if left out."
    )
    everywhere = serializers.BooleanField(
        default=False, help_text="What happens in any project of the organisation."
    )


class TargetOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(Target.Kind.choices)
    address = serializers.CharField()
    wants = serializers.ListField(child=serializers.CharField())
    everywhere = serializers.SerializerMethodField()
    made_by = serializers.CharField()
    stopped = serializers.CharField(help_text="Why nothing is sent any more; empty while it is.")
    created_at = serializers.DateTimeField()

    def get_everywhere(self, row: Target) -> bool:
        return row.project_id is None


class NewTargetOut(TargetOut):
    secret = serializers.CharField(
        help_text="What a webhook's signatures are checked with; shown this once."
    )


class TargetsView(GenericAPIView[Any]):
    """Who is told what happens here, by mail or webhook."""

    module = "access"
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = TargetOut
    pagination_class = Whole

    @extend_schema(operation_id="notices_list", responses=TargetOut(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(services.targets_of(principal=request.user))
        return self.get_paginated_response(TargetOut(page, many=True).data)

    @extend_schema(operation_id="notices_create", request=TargetIn, responses={201: NewTargetOut})
    def post(self, request: Request) -> Response:
        given = TargetIn(data=request.data)
        given.is_valid(raise_exception=True)
        row, secret = services.create(principal=request.user, **given.validated_data)
        row.secret = secret
        return Response(NewTargetOut(row).data, status=201)


class TargetView(GenericAPIView[Any]):
    module = "access"
    serializer_class = TargetOut

    @extend_schema(operation_id="notices_retrieve")
    def get(self, request: Request, target_id: UUID) -> Response:
        row = services.target(principal=request.user, target_id=target_id)
        return Response(TargetOut(row).data)

    @extend_schema(operation_id="notices_destroy", responses={204: None})
    def delete(self, request: Request, target_id: UUID) -> Response:
        services.remove(principal=request.user, target_id=target_id)
        return Response(status=204)


class DeliveryOut(serializers.ModelSerializer[Delivery]):
    phase = serializers.ChoiceField(Phase.choices)
    body = serializers.DictField()

    class Meta:
        model = Delivery
        fields = ["id", "created_at", "happening", "phase", "reason", "attempts", "body"]


class DeliveriesView(GenericAPIView[Any]):
    """What was sent to a target, newest first, and how it went."""

    module = "access"
    serializer_class = DeliveryOut
    queryset = Delivery.objects.none()

    @extend_schema(operation_id="notices_deliveries", responses=DeliveryOut(many=True))
    def get(self, request: Request, target_id: UUID) -> Response:
        rows = services.deliveries_of(principal=request.user, target_id=target_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(DeliveryOut(page, many=True).data)


class TryView(GenericAPIView[Any]):
    """Send a test there; how it goes is among the deliveries."""

    module = "access"
    serializer_class = DeliveryOut

    @extend_schema(operation_id="notices_try", request=None, responses={201: DeliveryOut})
    def post(self, request: Request, target_id: UUID) -> Response:
        made = services.try_out(principal=request.user, target_id=target_id, now=timezone.now())
        return Response(DeliveryOut(made).data, status=201)


urlpatterns = [
    path("notices", TargetsView.as_view()),
    path("notices/<uuid:target_id>", TargetView.as_view()),
    path("notices/<uuid:target_id>/deliveries", DeliveriesView.as_view()),
    path("notices/<uuid:target_id>/test", TryView.as_view()),
]
