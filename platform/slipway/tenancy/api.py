"""Who am I, and which keys are there."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth import authenticate, login, logout
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.errors import NotSignedIn
from slipway.tenancy import services
from slipway.tenancy.models import ApiKey, Role
from slipway.tenancy.permissions import MayChange


class SignInIn(serializers.Serializer[Any]):
    user = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class ProjectOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    organisation = serializers.CharField()


class MeOut(serializers.Serializer[Any]):
    user = serializers.CharField()
    role = serializers.ChoiceField(Role.choices)
    project = ProjectOut()
    projects = ProjectOut(many=True)


def _me(principal: services.Principal) -> dict[str, Any]:
    project = services.project_fact(project_id=principal.project_id)
    return MeOut(
        {
            "user": principal.user_name,
            "role": principal.role,
            "project": project,
            "projects": services.projects_of(principal=principal),
        }
    ).data


class SessionView(GenericAPIView[Any]):
    """Sign in and out with user name and password."""

    permission_classes: ClassVar = [permissions.AllowAny]
    authentication_classes: ClassVar[list[Any]] = []
    serializer_class = SignInIn

    @extend_schema(responses=MeOut)
    def post(self, request: Request) -> Response:
        given = SignInIn(data=request.data)
        given.is_valid(raise_exception=True)
        user = authenticate(
            request,
            username=given.validated_data["user"],
            password=given.validated_data["password"],
        )
        if user is None:
            raise NotSignedIn("User name or password is wrong.")
        login(request._request, user)
        return Response(_me(services.principal_of(user=user)))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        logout(request._request)
        return Response(status=204)


class MeView(GenericAPIView[Any]):
    """Who this credential is, and where."""

    serializer_class = MeOut

    def get(self, request: Request) -> Response:
        return Response(_me(request.user))


class KeyIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63)
    role = serializers.ChoiceField(Role.choices, default=Role.OPERATOR)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class KeyOut(serializers.ModelSerializer[ApiKey]):
    made_by = serializers.CharField(source="made_by.username")

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "role",
            "redacted",
            "made_by",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
        ]


class NewKeyOut(KeyOut):
    #: Shown this once.
    secret = serializers.CharField()

    class Meta(KeyOut.Meta):
        fields = [*KeyOut.Meta.fields, "secret"]


class KeysView(GenericAPIView[Any]):
    """Keys of this project; the secret is in the answer to POST and nowhere else."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = KeyOut

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
        issued = services.issue_key(maker=request.user, **given.validated_data)
        issued.key.secret = issued.secret
        return Response(NewKeyOut(issued.key).data, status=201)


class KeyView(GenericAPIView[Any]):
    permission_classes: ClassVar = [MayChange]
    serializer_class = KeyOut

    @extend_schema(responses={204: None})
    def delete(self, request: Request, key_id: UUID) -> Response:
        services.revoke_key(maker=request.user, key_id=key_id, now=timezone.now())
        return Response(status=204)


urlpatterns = [
    path("session", SessionView.as_view()),
    path("me", MeView.as_view()),
    path("keys", KeysView.as_view()),
    path("keys/<uuid:key_id>", KeyView.as_view()),
]
