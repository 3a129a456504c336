"""The wizard of the first boot, over HTTP: for who has the code, until somebody administers."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.firstboot import services


class SetUpOfferOut(serializers.Serializer[Any]):
    open = serializers.BooleanField(help_text="Whether this installation waits to be set up.")
    needs_licence = serializers.BooleanField(help_text="Whether its edition wants a licence.")


class SetUpIn(serializers.Serializer[Any]):
    setup_code = serializers.CharField(
        max_length=100, help_text="What `slipway up` shows on the machine; in the file setup-code."
    )
    user = serializers.CharField(max_length=150, help_text="The first administrator's name.")
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    file = serializers.CharField(
        max_length=65_536, trim_whitespace=False, required=False, allow_blank=True, default="",
        help_text="The licence file, as it is; one can be installed later too.",
    )  # fmt: skip


class SetUpOut(serializers.Serializer[Any]):
    user = serializers.CharField()


class SetUpView(GenericAPIView[Any]):
    """Whether the installation waits to be set up; POST does it, once."""

    serializer_class = SetUpIn
    module = "platform"
    authentication_classes: ClassVar[list[Any]] = []
    permission_classes: ClassVar = [permissions.AllowAny]
    audited = True
    #: The password is hashed, which takes long; and a wrong code is noted.
    waits = True
    #: A licence may be what is missing.
    works_read_only = True

    @extend_schema(responses=SetUpOfferOut)
    def get(self, request: Request) -> Response:
        return Response(SetUpOfferOut(services.offer()).data)

    @extend_schema(request=SetUpIn, responses={201: SetUpOut})
    def post(self, request: Request) -> Response:
        given = SetUpIn(data=request.data)
        given.is_valid(raise_exception=True)
        user = services.set_up(
            code=given.validated_data["setup_code"],
            user_name=given.validated_data["user"],
            password=given.validated_data["password"],
            licence=given.validated_data["file"],
            address=request.META.get("REMOTE_ADDR", ""),
            now=timezone.now(),
        )
        return Response({"user": user}, status=201)


urlpatterns = [path("set-up", SetUpView.as_view())]
