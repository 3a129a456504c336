"""Signing up, over HTTP: for anybody, where it is open at all."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.signup import services

_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"


class OfferToAllOut(serializers.Serializer[Any]):
    open = serializers.BooleanField(help_text="Whether anybody may sign up here.")
    trial_credit = serializers.DecimalField(max_digits=15, decimal_places=6)
    currency = serializers.CharField()


class SignUpIn(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=150, help_text="Also the name to sign in with.")
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    organisation = serializers.RegexField(
        _NAME, max_length=63, error_messages={"invalid": "lower-case letters, digits and -"}
    )


class SignUpOut(serializers.Serializer[Any]):
    next = serializers.CharField()


class VerifyIn(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200, help_text="What follows # in the letter's link.")
    password = serializers.CharField(
        max_length=1024, trim_whitespace=False, help_text="The one that was signed up with."
    )


class VerifiedOut(serializers.Serializer[Any]):
    user = serializers.CharField()
    organisation = serializers.CharField(help_text="Not the one asked for where that was taken.")
    project = serializers.CharField()


class _Open(GenericAPIView[Any]):
    """A view for whoever comes by, whose changes are on record."""

    module = "platform"
    authentication_classes: ClassVar[list[Any]] = []
    permission_classes: ClassVar = [permissions.AllowAny]
    audited = True
    #: Passwords are hashed, which takes long; and wrong ones are noted.
    waits = True


class SignUpView(_Open):
    """Whether people may sign up here; POST asks for an account, and a letter follows."""

    serializer_class = SignUpIn

    @extend_schema(responses=OfferToAllOut)
    def get(self, request: Request) -> Response:
        return Response(OfferToAllOut(services.offer()).data)

    @extend_schema(request=SignUpIn, responses={202: SignUpOut})
    def post(self, request: Request) -> Response:
        """The answer is the same whether or not the address has an account."""
        services.check_open()
        given = SignUpIn(data=request.data)
        given.is_valid(raise_exception=True)
        services.ask(
            **given.validated_data,
            address=request.META.get("REMOTE_ADDR", ""),
            now=timezone.now(),
        )
        return Response({"next": "Open the link in the letter we send, within a day."}, status=202)


class VerifyView(_Open):
    """Show that the address is yours: makes account and organisation, once."""

    serializer_class = VerifyIn

    @extend_schema(request=VerifyIn, responses={201: VerifiedOut})
    def post(self, request: Request) -> Response:
        services.check_open()
        given = VerifyIn(data=request.data)
        given.is_valid(raise_exception=True)
        made = services.verify(
            **given.validated_data,
            address=request.META.get("REMOTE_ADDR", ""),
            now=timezone.now(),
        )
        return Response(VerifiedOut(made).data, status=201)


urlpatterns = [
    path("sign-up", SignUpView.as_view()),
    path("sign-up/verify", VerifyView.as_view()),
]
