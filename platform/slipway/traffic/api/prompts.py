"""REST for kept prompts: the project's policy, and what was kept under it; for owners."""

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

from slipway.tenancy.permissions import MayChange
from slipway.tenancy.services import Level
from slipway.traffic import services
from slipway.traffic.models import LoggedPrompt, PromptPolicy
from slipway.traffic.services import masking, prompts

_OWNERS = {"GET": Level.FULL, "PUT": Level.FULL, "DELETE": Level.FULL}


class PromptPolicyIn(serializers.Serializer[Any]):
    days = serializers.IntegerField(
        min_value=1, max_value=prompts.LONGEST_DAYS, help_text="kept for so long"
    )
    masks = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(masking.MASKS)),
        required=False, default=sorted(masking.MASKS), max_length=len(masking.MASKS),
        help_text="what is masked before it is written; all, if left out",
    )  # fmt: skip
    expressions = serializers.ListField(
        child=serializers.CharField(max_length=masking.LONGEST_EXPRESSION),
        required=False, default=list, max_length=masking.MOST_EXPRESSIONS,
        help_text="regular expressions of your own; what they find is masked",
    )  # fmt: skip


class PromptPolicyOut(serializers.Serializer[Any]):
    kept = serializers.BooleanField(help_text="Whether prompts are kept at all.")
    days = serializers.IntegerField(allow_null=True)
    masks = serializers.ListField(child=serializers.CharField())
    expressions = serializers.ListField(child=serializers.CharField())
    made_by = serializers.CharField()
    created_at = serializers.DateTimeField(allow_null=True)


def _told(row: PromptPolicy | None) -> dict[str, Any]:
    if row is None:
        body: dict[str, Any] = {"kept": False, "days": None, "masks": [], "expressions": []}
        return PromptPolicyOut(body | {"made_by": "", "created_at": None}).data
    same = ("days", "masks", "expressions", "made_by", "created_at")
    return PromptPolicyOut({"kept": True} | {name: getattr(row, name) for name in same}).data


class LoggedPromptOut(serializers.ModelSerializer[LoggedPrompt]):
    class Meta:
        model = LoggedPrompt
        fields = ["id", "created_at", "request_id", "model", "expires_at"]


class LoggedPromptWhole(LoggedPromptOut):
    request = serializers.JSONField(help_text="the body as it was asked, masked")
    answer = serializers.JSONField(help_text="the answer; a stream's in one piece")

    class Meta(LoggedPromptOut.Meta):
        fields = [*LoggedPromptOut.Meta.fields, "request", "answer"]


class PromptsDeleted(serializers.Serializer[Any]):
    deleted = serializers.IntegerField()


class _Which(serializers.Serializer[Any]):
    id = serializers.UUIDField(required=False)
    until = serializers.DateTimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError("Name one by id, or all up to a time by until.")
        return attrs


class PolicyView(GenericAPIView[Any]):
    """Whether and how prompts of this project are kept: not at all, until it is PUT."""

    module = "inference"
    levels: ClassVar = _OWNERS
    permission_classes: ClassVar = [MayChange]
    serializer_class = PromptPolicyOut

    def get(self, request: Request) -> Response:
        return Response(_told(services.policy_of(project_id=request.user.project_id)))

    @extend_schema(request=PromptPolicyIn, responses=PromptPolicyOut)
    def put(self, request: Request) -> Response:
        given = PromptPolicyIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = services.set_policy(maker=request.user, **given.validated_data)
        return Response(_told(row))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        services.lift_policy(project_id=request.user.project_id)
        return Response(status=204)


class PromptsView(GenericAPIView[Any]):
    """What is kept, newest first, without its text; `?model=` finds those of one model.

    DELETE stands here and not at the one prompt: the audit log keeps what an address showed before
    it was deleted, and would keep the very text.
    """

    module = "inference"
    levels: ClassVar = _OWNERS
    permission_classes: ClassVar = [MayChange]
    serializer_class = LoggedPromptOut

    def get_queryset(self) -> Any:
        return services.logged_prompts(project_id=self.request.user.project_id)

    @extend_schema(
        parameters=[OpenApiParameter("model", str)], responses=LoggedPromptOut(many=True)
    )
    def get(self, request: Request) -> Response:
        rows = self.get_queryset().defer("request", "answer")
        if model := request.query_params.get("model"):
            rows = rows.filter(model=model)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(LoggedPromptOut(page, many=True).data)

    @extend_schema(parameters=[_Which], responses=PromptsDeleted)
    def delete(self, request: Request) -> Response:
        which = _Which(data=request.query_params.dict())
        which.is_valid(raise_exception=True)
        count = services.delete_prompts(
            project_id=request.user.project_id,
            prompt_id=which.validated_data.get("id"),
            until=which.validated_data.get("until"),
        )
        return Response({"deleted": count})


class PromptView(GenericAPIView[Any]):
    """One, with its text; that it was read is in the audit log."""

    module = "inference"
    levels: ClassVar = _OWNERS
    permission_classes: ClassVar = [MayChange]
    serializer_class = LoggedPromptWhole

    def get(self, request: Request, prompt_id: UUID) -> Response:
        row = services.read_prompt(reader=request.user, prompt_id=prompt_id, now=timezone.now())
        return Response(LoggedPromptWhole(row).data)


urlpatterns = [
    path("prompt-log", PromptsView.as_view()),
    path("prompt-log/policy", PolicyView.as_view()),
    path("prompt-log/<uuid:prompt_id>", PromptView.as_view()),
]
