"""A person's own sessions and password, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth import update_session_auth_hash
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.http import Whole
from slipway.tenancy.api.factors import Own
from slipway.tenancy.models import SignedIn
from slipway.tenancy.services import own


class PasswordIn(serializers.Serializer[Any]):
    password = serializers.CharField(
        max_length=1024, trim_whitespace=False, help_text="The one of now."
    )
    new_password = serializers.CharField(max_length=1024, trim_whitespace=False)


class OwnPasswordView(Own):
    """Another password for oneself; all other sessions end."""

    serializer_class = PasswordIn
    waits = True

    @extend_schema(operation_id="own_password_change", request=PasswordIn, responses={204: None})
    def post(self, request: Request) -> Response:
        now, session = timezone.now(), request._request.session
        own.change_password(
            user=request.user, address=self.address, now=now, **self.given(PasswordIn)
        )
        update_session_auth_hash(request._request, request.user)
        own.end_others(user=request.user, but=session.get(own.SESSION))
        return Response(status=204)


class OwnSessionOut(serializers.ModelSerializer[SignedIn]):
    here = serializers.SerializerMethodField(help_text="Whether it is the one that asks.")

    class Meta:
        model = SignedIn
        fields = ["id", "created_at", "seen_at", "address", "agent", "here"]

    def get_here(self, row: SignedIn) -> bool:
        return str(row.pk) == self.context["here"]


class OwnSessionsView(Own):
    """Where this person is signed in; DELETE ends all but the session that asks."""

    serializer_class = OwnSessionOut
    pagination_class = Whole

    @extend_schema(operation_id="own_sessions_list", responses=OwnSessionOut(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(own.sessions_of(user=request.user, now=timezone.now()))
        here = {"here": request._request.session.get(own.SESSION)}
        return self.get_paginated_response(OwnSessionOut(page, many=True, context=here).data)

    @extend_schema(operation_id="own_sessions_end", responses={204: None})
    def delete(self, request: Request) -> Response:
        self.check_fresh()
        own.end_others(user=request.user, but=request._request.session.get(own.SESSION))
        return Response(status=204)


class OwnSessionView(Own):
    serializer_class = OwnSessionOut

    @extend_schema(operation_id="own_session_end", responses={204: None})
    def delete(self, request: Request, session_id: UUID) -> Response:
        self.check_fresh()
        own.end(user=request.user, session_id=session_id)
        return Response(status=204)
