"""Signing up and forgotten passwords, over HTTP: for anybody, where letters can be sent."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.signup.services import proving, signing_up
from slipway.tenancy.authentication import PersonAuthentication
from slipway.tenancy.services import Level

_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"


class OfferToAllOut(serializers.Serializer[Any]):
    open = serializers.BooleanField(help_text="Whether anybody may sign up here.")
    trial_credit = serializers.DecimalField(max_digits=15, decimal_places=6)
    currency = serializers.CharField()
    resets = serializers.BooleanField(help_text="Whether a forgotten password is reset by mail.")


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
        return Response(OfferToAllOut(signing_up.offer()).data)

    @extend_schema(request=SignUpIn, responses={202: SignUpOut})
    def post(self, request: Request) -> Response:
        """The answer is the same whether or not the address has an account."""
        signing_up.check_open()
        given = SignUpIn(data=request.data)
        given.is_valid(raise_exception=True)
        signing_up.ask(
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
        signing_up.check_open()
        given = VerifyIn(data=request.data)
        given.is_valid(raise_exception=True)
        made = signing_up.verify(
            **given.validated_data,
            address=request.META.get("REMOTE_ADDR", ""),
            now=timezone.now(),
        )
        return Response(VerifiedOut(made).data, status=201)


class MailIn(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=150)


class AddressIn(MailIn):
    password = serializers.CharField(
        max_length=1024, trim_whitespace=False, help_text="The one you sign in with."
    )


class NextOut(serializers.Serializer[Any]):
    next = serializers.CharField()


class NewPasswordIn(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200, help_text="What follows # in the letter's link.")
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class TokenIn(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200, help_text="What follows # in the letter's link.")


class ForgottenView(_Open):
    """Ask for a letter to the address of an account whose password is forgotten."""

    serializer_class = MailIn
    works_read_only = True

    @extend_schema(request=MailIn, responses={202: NextOut})
    def post(self, request: Request) -> Response:
        """The answer is the same whether or not anybody has the address."""
        given = MailIn(data=request.data)
        given.is_valid(raise_exception=True)
        proving.forgot(
            **given.validated_data,
            address=request.META.get("REMOTE_ADDR", ""),
            now=timezone.now(),
        )
        return Response({"next": "Open the link in the letter, within an hour."}, status=202)


class NewPasswordView(_Open):
    """Choose another password by the letter's link, once; all sessions of the account end."""

    serializer_class = NewPasswordIn
    works_read_only = True

    @extend_schema(request=NewPasswordIn, responses={204: None})
    def post(self, request: Request) -> Response:
        given = NewPasswordIn(data=request.data)
        given.is_valid(raise_exception=True)
        proving.choose_password(**given.validated_data, now=timezone.now())
        return Response(status=204)


class OwnAddressView(GenericAPIView[Any]):
    """The address that a person has proved, and asking for a letter that proves another."""

    serializer_class = AddressIn
    authentication_classes: ClassVar = [PersonAuthentication]
    permission_classes: ClassVar = [permissions.IsAuthenticated]
    levels: ClassVar = dict.fromkeys(("GET", "POST"), Level.NONE)
    module = "platform"
    audited = True
    works_read_only = True
    waits = True

    @extend_schema(responses=MailIn)
    def get(self, request: Request) -> Response:
        return Response({"email": request.user.proved_email})

    @extend_schema(request=AddressIn, responses={202: NextOut})
    def post(self, request: Request) -> Response:
        given = AddressIn(data=request.data)
        given.is_valid(raise_exception=True)
        proving.claim(
            user=request.user,
            **given.validated_data,
            address=request.META.get("REMOTE_ADDR", ""),
            now=timezone.now(),
        )
        return Response({"next": "Open the link in the letter, within an hour."}, status=202)


class ProveView(_Open):
    """Show by the letter's link that an address is yours."""

    serializer_class = TokenIn
    works_read_only = True

    @extend_schema(request=TokenIn, responses=MailIn)
    def post(self, request: Request) -> Response:
        given = TokenIn(data=request.data)
        given.is_valid(raise_exception=True)
        return Response({"email": proving.prove(**given.validated_data, now=timezone.now())})


urlpatterns = [
    path("sign-up", SignUpView.as_view()),
    path("sign-up/verify", VerifyView.as_view()),
    path("session/forgotten", ForgottenView.as_view()),
    path("session/new-password", NewPasswordView.as_view()),
    path("session/address", OwnAddressView.as_view()),
    path("session/address/prove", ProveView.as_view()),
]
