"""REST for feedback: thumbs on answers, with a comment and the answer they are about."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.tenancy.permissions import MayChange
from slipway.tenancy.services import Level
from slipway.traffic import services
from slipway.traffic.models import Feedback

_LONGEST = 200_000


class SaidIn(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=["system", "user", "assistant"])
    content = serializers.CharField(max_length=_LONGEST, allow_blank=True, trim_whitespace=False)


class FeedbackIn(serializers.Serializer[Any]):
    request_id = serializers.CharField(max_length=64, help_text="x-request-id of the answer")
    model = serializers.CharField(max_length=256)
    good = serializers.BooleanField()
    comment = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)
    messages = SaidIn(many=True, required=False, default=list, help_text="what was asked")
    answer = serializers.CharField(
        max_length=_LONGEST, required=False, default="", allow_blank=True, trim_whitespace=False
    )


class FeedbackOut(serializers.ModelSerializer[Feedback]):
    messages = SaidIn(many=True)

    class Meta:
        model = Feedback
        fields = [
            "id", "created_at", "request_id", "model", "good", "comment", "messages", "answer",
            "user_name",
        ]  # fmt: skip


class FeedbackListView(GenericAPIView[Any]):
    """What people thought of answers; POST says so, and says something else instead."""

    module = "inference"
    permission_classes: ClassVar = [MayChange]
    levels: ClassVar = {"GET": Level.OPERATE}
    serializer_class = FeedbackOut

    def get_queryset(self) -> Any:
        return services.feedback_given(project_id=self.request.user.project_id)

    @extend_schema(
        operation_id="feedback_list",
        parameters=[OpenApiParameter("model", str), OpenApiParameter("good", bool)],
        responses=FeedbackOut(many=True),
    )
    def get(self, request: Request) -> Response:
        rows = self.get_queryset()
        if model := request.query_params.get("model"):
            rows = rows.filter(model=model)
        if good := request.query_params.get("good"):
            rows = rows.filter(good=good.lower() == "true")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(FeedbackOut(page, many=True).data)

    @extend_schema(operation_id="feedback_give", request=FeedbackIn, responses={201: FeedbackOut})
    def post(self, request: Request) -> Response:
        given = FeedbackIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = services.give_feedback(principal=request.user, **given.validated_data)
        return Response(FeedbackOut(row).data, status=201)


class FeedbackView(GenericAPIView[Any]):
    module = "inference"
    permission_classes: ClassVar = [MayChange]
    levels: ClassVar = {"DELETE": Level.OPERATE}
    serializer_class = FeedbackOut

    @extend_schema(operation_id="feedback_take_back", responses={204: None})
    def delete(self, request: Request, feedback_id: UUID) -> Response:
        services.take_feedback_back(project_id=request.user.project_id, feedback_id=feedback_id)
        return Response(status=204)


urlpatterns = [
    path("feedback", FeedbackListView.as_view()),
    path("feedback/<uuid:feedback_id>", FeedbackView.as_view()),
]
