"""REST for traffic rules: one per name."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.editing import Guarded
from slipway.core.http import Named
from slipway.tenancy.permissions import MayChange
from slipway.tenancy.services import Level
from slipway.traffic import services
from slipway.traffic.models import Rule


class TargetShape(serializers.Serializer[Any]):
    model = serializers.CharField(
        max_length=256, help_text="a deployment, an external model or a tuned model"
    )
    percent = serializers.IntegerField(min_value=1, max_value=100)


class TrafficRuleChange(serializers.Serializer[Any]):
    targets = TargetShape(many=True, help_text="their shares come to 100")
    fallbacks = serializers.ListField(
        child=serializers.CharField(max_length=256), required=False, default=list,
        help_text="tried in this order before the first byte, if the one drawn cannot answer",
    )  # fmt: skip
    hedge_after_ms = serializers.IntegerField(
        required=False, allow_null=True, default=None,
        help_text="without a first byte after so long another replica is asked too",
    )  # fmt: skip


class TrafficRuleIn(TrafficRuleChange):
    name = serializers.CharField(max_length=63, help_text="what clients pass as `model`")


class TrafficRuleOut(serializers.ModelSerializer[Rule]):
    targets = TargetShape(many=True)
    fallbacks = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Rule
        fields = ["id", "created_at", "name", "targets", "fallbacks", "hedge_after_ms"]


class RulesView(GenericAPIView[Any]):
    """Rules of this project; `?name=` finds one by name. PUT sets the rule of a name."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = TrafficRuleOut
    pagination_class = Named

    def get_queryset(self) -> Any:
        return Rule.objects.filter(project_id=self.request.user.project_id)

    @extend_schema(parameters=[OpenApiParameter("name", str)], responses=TrafficRuleOut(many=True))
    def get(self, request: Request) -> Response:
        rows = self.get_queryset()
        if name := request.query_params.get("name"):
            rows = rows.filter(name=name)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(TrafficRuleOut(page, many=True).data)

    @extend_schema(request=TrafficRuleIn, responses=TrafficRuleOut)
    def put(self, request: Request) -> Response:
        given = TrafficRuleIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = services.set_rule(project_id=request.user.project_id, **given.validated_data)
        return Response(TrafficRuleOut(row).data)


class RuleView(Guarded):
    """One rule, seen and changed. Without its rule a name means its own deployment again."""

    guarded = ("targets", "fallbacks", "hedge_after_ms")

    # What an operator may set an operator may take back.
    levels: ClassVar = {"DELETE": Level.OPERATE}
    permission_classes: ClassVar = [MayChange]
    serializer_class = TrafficRuleOut

    @extend_schema(responses=TrafficRuleOut)
    def get(self, request: Request, rule_id: UUID) -> Response:
        row = services.rule_of(project_id=request.user.project_id, rule_id=rule_id)
        return Response(TrafficRuleOut(row).data)

    @extend_schema(
        operation_id="traffic_change", request=TrafficRuleChange, responses=TrafficRuleOut
    )
    def put(self, request: Request, rule_id: UUID) -> Response:
        given = TrafficRuleChange(data=request.data)
        given.is_valid(raise_exception=True)
        project_id = request.user.project_id
        name = services.rule_of(project_id=project_id, rule_id=rule_id).name
        row = services.set_rule(project_id=project_id, name=name, **given.validated_data)
        return Response(TrafficRuleOut(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, rule_id: UUID) -> Response:
        services.lift_rule(project_id=request.user.project_id, rule_id=rule_id)
        return Response(status=204)


urlpatterns = [
    path("traffic", RulesView.as_view()),
    path("traffic/<uuid:rule_id>", RuleView.as_view()),
]
