"""Keys of the project, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.http import Named
from slipway.tenancy import services
from slipway.tenancy.models import ApiKey, Role
from slipway.tenancy.services import LEVELS, Level
from slipway.tenancy.services.keys import key_of

_LONGEST_OVERLAP_SECONDS = 30 * 86400


class KeyIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63)
    role = serializers.ChoiceField(Role.choices, default=Role.OPERATOR)
    scopes = serializers.DictField(
        child=serializers.ChoiceField(list(LEVELS)),
        required=False,
        help_text="Module to level, instead of a role.",
    )
    networks = serializers.ListField(
        child=serializers.CharField(max_length=64), max_length=100, required=False
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    service_account_id = serializers.IntegerField(required=False, allow_null=True, default=None)


class KeyOut(serializers.ModelSerializer[ApiKey]):
    made_by = serializers.CharField(source="made_by.username")
    scopes = serializers.DictField(child=serializers.CharField())
    networks = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "role",
            "scopes",
            "networks",
            "redacted",
            "made_by",
            "created_at",
            "rotated_from",
            "expires_at",
            "revoked_at",
            "last_used_at",
        ]


class NewKeyOut(KeyOut):
    #: Shown this once.
    secret = serializers.CharField()

    class Meta(KeyOut.Meta):
        fields = [*KeyOut.Meta.fields, "secret"]


class RotateIn(serializers.Serializer[Any]):
    overlap_seconds = serializers.IntegerField(
        min_value=0,
        max_value=_LONGEST_OVERLAP_SECONDS,
        default=86400,
        help_text="How long the old secret goes on working.",
    )


def _shown_once(issued: services.IssuedKey) -> Response:
    issued.key.secret = issued.secret
    return Response(NewKeyOut(issued.key).data, status=201)


class KeysView(GenericAPIView[Any]):
    """Keys of this project; the secret is in the answer to POST and nowhere else."""

    serializer_class = KeyOut
    pagination_class = Named

    def get_queryset(self) -> Any:
        return ApiKey.objects.filter(project_id=self.request.user.project_id).select_related(
            "made_by"
        )

    @extend_schema(responses=KeyOut(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(KeyOut(page, many=True).data)

    @extend_schema(request=KeyIn, responses={201: NewKeyOut})
    def post(self, request: Request) -> Response:
        given = KeyIn(data=request.data)
        given.is_valid(raise_exception=True)
        return _shown_once(services.issue_key(maker=request.user, **given.validated_data))


class KeyView(GenericAPIView[Any]):
    serializer_class = KeyOut
    # Ending a key is daily work, and better done at once by whoever notices.
    levels: ClassVar = {"DELETE": Level.OPERATE}

    def get(self, request: Request, key_id: UUID) -> Response:
        return Response(KeyOut(key_of(project_id=request.user.project_id, key_id=key_id)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, key_id: UUID) -> Response:
        services.revoke_key(maker=request.user, key_id=key_id, now=timezone.now())
        return Response(status=204)


class RotateView(GenericAPIView[Any]):
    """A new secret with the same rights; the old one works a while longer."""

    serializer_class = RotateIn

    @extend_schema(request=RotateIn, responses={201: NewKeyOut})
    def post(self, request: Request, key_id: UUID) -> Response:
        given = RotateIn(data=request.data)
        given.is_valid(raise_exception=True)
        issued = services.rotate_key(
            maker=request.user,
            key_id=key_id,
            overlap=timedelta(seconds=given.validated_data["overlap_seconds"]),
            now=timezone.now(),
        )
        return _shown_once(issued)
