"""Tokens for directories, over HTTP; shown once."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.http import Whole
from slipway.tenancy.services import Level
from slipway.tenancy.services.scim import tokens


class ScimTokenIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class ScimTokenOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    redacted = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class NewScimTokenOut(ScimTokenOut):
    secret = serializers.CharField(help_text="Shown this once.")
    base_url = serializers.CharField(help_text="What the directory asks below.")


class ScimTokensView(GenericAPIView[Any]):
    """Tokens by which directories provision people and groups of this organisation."""

    module = "organisation"
    levels: ClassVar = {"POST": Level.FULL}
    proved: ClassVar = {"POST"}
    serializer_class = ScimTokenOut
    pagination_class = Whole

    @extend_schema(responses=ScimTokenOut(many=True))
    def get(self, request: Request) -> Response:
        rows = tokens.tokens_of(organisation_id=request.user.organisation_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(ScimTokenOut(page, many=True).data)

    @extend_schema(request=ScimTokenIn, responses={201: NewScimTokenOut})
    def post(self, request: Request) -> Response:
        given = ScimTokenIn(data=request.data)
        given.is_valid(raise_exception=True)
        row, secret = tokens.issue(principal=request.user, **given.validated_data)
        row.secret, row.base_url = secret, f"{settings.PUBLIC_URL}/scim/v2"
        return Response(NewScimTokenOut(row).data, status=201)


class ScimTokenView(GenericAPIView[Any]):
    module = "organisation"
    serializer_class = ScimTokenOut

    @extend_schema(responses={204: None})
    def delete(self, request: Request, token_id: UUID) -> Response:
        tokens.withdraw(principal=request.user, token_id=token_id)
        return Response(status=204)
