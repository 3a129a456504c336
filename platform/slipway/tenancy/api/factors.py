"""A person's own second factors, their passkeys, and showing again who is there; over HTTP.

These routes belong to a person, not to a project: a session is needed, and nothing else is asked of
it, so that who must set up a second factor can.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth import update_session_auth_hash
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.errors import NotSignedIn
from slipway.core.http import Given, Whole
from slipway.tenancy.api.signon import begin_session
from slipway.tenancy.authentication import PersonAuthentication
from slipway.tenancy.models import FactorKind, ProviderKind
from slipway.tenancy.services import Level, entry, factors, own, passkeys, principals, signin
from slipway.tenancy.services.signon import password

_MAKING, _ASKING = "passkey_making", "passkey_asking"


class FactorOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(FactorKind.choices)
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class AnswersOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(ProviderKind.choices)


class FactorsOut(serializers.Serializer[Any]):
    factors = FactorOut(many=True)
    codes_left = serializers.IntegerField(help_text="Recovery codes that were not used.")
    has_password = serializers.BooleanField(help_text="Whether a password is kept here.")
    providers = AnswersOut(many=True, help_text="Who else answers for this person.")


class KeyForAppOut(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="Base32, for typing.")
    secret_uri = serializers.CharField(help_text="otpauth://…, for a QR code.")


class PasscodesOut(serializers.Serializer[Any]):
    passcodes = serializers.ListField(
        child=serializers.CharField(), help_text="Recovery codes, shown this once; each works once."
    )


class ConfirmIn(serializers.Serializer[Any]):
    passcode = serializers.CharField(max_length=64)
    name = serializers.CharField(max_length=63, default="authenticator")


class ProofIn(serializers.Serializer[Any]):
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    passcode = serializers.CharField(max_length=64, required=False, default="", allow_blank=True)


class CredentialIn(serializers.Serializer[Any]):
    credential = serializers.DictField(help_text="PublicKeyCredential.toJSON() of the browser.")


class NewPasskeyIn(CredentialIn):
    name = serializers.CharField(max_length=63, default="passkey")


class OptionsOut(serializers.Serializer[Any]):
    options = serializers.DictField(help_text="For PublicKeyCredential.parse…OptionsFromJSON().")


class Own(Given, GenericAPIView[Any]):
    """What belongs to whoever is signed in."""

    authentication_classes: ClassVar = [PersonAuthentication]
    permission_classes: ClassVar = [permissions.IsAuthenticated]
    levels: ClassVar = dict.fromkeys(("GET", "POST", "DELETE"), Level.NONE)
    audited = True
    works_read_only = True

    def check_fresh(self) -> None:
        """Who has a factor already is asked for it before the next one, or its removal."""
        session = self.request._request.session
        if factors.factors_of(user=self.request.user):
            seen = entry.shown(session.get(entry.SHOWN))
            entry.check_fresh(seen=seen, now=timezone.now())

    def remember_second(self) -> None:
        """A factor was just shown to work in this very session."""
        session = self.request._request.session
        seen = entry.shown(session.get(entry.SHOWN)) or entry.Shown(proved_at=timezone.now())
        session[entry.SHOWN] = seen.stored() | {"second_factor": True}
        # Whoever else had this session's key loses it.
        update_session_auth_hash(self.request._request, self.request.user)

    @property
    def address(self) -> str:
        return str(self.request.META.get("REMOTE_ADDR", ""))

    @property
    def host(self) -> str:
        return str(self.request._request.get_host())


class FactorsView(Own):
    """What this person has beside their password."""

    serializer_class = FactorsOut

    @extend_schema(responses=FactorsOut)
    def get(self, request: Request) -> Response:
        user = request.user
        told = {
            "factors": factors.factors_of(user=user),
            "codes_left": factors.codes_left(user=user),
            "has_password": user.has_usable_password(),
            "providers": own.providers_of(user=user),
        }
        return Response(FactorsOut(told).data)


class FactorView(Own):
    serializer_class = FactorOut

    @extend_schema(responses={204: None})
    def delete(self, request: Request, factor_id: UUID) -> Response:
        self.check_fresh()
        factors.remove(user=request.user, factor_id=factor_id)
        return Response(status=204)


class TotpView(Own):
    """A key for an authenticator app; in force once a first passcode confirmed it."""

    serializer_class = KeyForAppOut

    @extend_schema(request=None, responses={201: KeyForAppOut})
    def post(self, request: Request) -> Response:
        self.check_fresh()
        secret, uri = factors.begin_totp(user=request.user, issuer=f"Slipway {self.host}")
        return Response({"secret": secret, "secret_uri": uri}, status=201)


class TotpConfirmView(Own):
    serializer_class = ConfirmIn

    @extend_schema(request=ConfirmIn, responses=PasscodesOut)
    def post(self, request: Request) -> Response:
        codes = factors.confirm_totp(
            user=request.user, address=self.address, now=timezone.now(), **self.given(ConfirmIn)
        )
        self.remember_second()
        return Response({"passcodes": codes})


class CodesView(Own):
    """New recovery codes in place of the old ones."""

    serializer_class = PasscodesOut

    @extend_schema(request=None, responses={201: PasscodesOut})
    def post(self, request: Request) -> Response:
        self.check_fresh()
        return Response({"passcodes": factors.renew_codes(user=request.user)}, status=201)


class NewPasskeyOptionsView(Own):
    """What the browser is to be asked for a new passkey."""

    serializer_class = OptionsOut

    @extend_schema(request=None, responses=OptionsOut)
    def post(self, request: Request) -> Response:
        self.check_fresh()
        options, state = passkeys.begin_making(user=request.user, host=self.host)
        request._request.session[_MAKING] = state
        return Response({"options": options})


class NewPasskeyView(Own):
    serializer_class = NewPasskeyIn

    @extend_schema(request=NewPasskeyIn, responses={201: FactorOut})
    def post(self, request: Request) -> Response:
        self.check_fresh()
        given = self.given(NewPasskeyIn)
        row = passkeys.finish_making(
            user=request.user, host=self.host, now=timezone.now(),
            state=request._request.session.pop(_MAKING, None), **given,
        )  # fmt: skip
        self.remember_second()
        return Response(FactorOut(row).data, status=201)


class ProofView(Own):
    """Show again who is there, by password and second factor, before what cannot be undone.

    Who came in through a provider goes there again: GET /api/v1/sign-on/{id}?anew=true.
    """

    serializer_class = ProofIn
    waits = True

    @extend_schema(request=ProofIn, responses={204: None})
    def post(self, request: Request) -> Response:
        given, now, session = self.given(ProofIn), timezone.now(), request._request.session
        me = request.user
        # Directories know people by their mail address.
        name = me.username if me.has_usable_password() else me.email
        user, _ = password.person(
            name=name, password=given["password"], address=self.address, now=now
        )
        if user != me:
            raise NotSignedIn("User name or password is wrong.")
        second = factors.check_second(
            user=user, passcode=given["passcode"], address=self.address, now=now
        )
        signin.forgive(user_name=name)
        before = entry.shown(session.get(entry.SHOWN))
        session[entry.SHOWN] = entry.Shown(
            proved_at=now,
            signed_on_to=before.signed_on_to if before else None,
            second_factor=second,
        ).stored()
        return Response(status=204)


class PasskeyOptionsView(Own):
    """The question that a passkey answers to let its person in."""

    authentication_classes: ClassVar = []
    permission_classes: ClassVar = [permissions.AllowAny]
    serializer_class = OptionsOut
    pagination_class = Whole

    @extend_schema(request=None, responses=OptionsOut)
    def post(self, request: Request) -> Response:
        options, state = passkeys.begin_asking(host=self.host)
        request._request.session[_ASKING] = state
        return Response({"options": options})


class PasskeyView(Own):
    """Sign in with a passkey, or show with it who is there."""

    authentication_classes: ClassVar = []
    permission_classes: ClassVar = [permissions.AllowAny]
    serializer_class = CredentialIn

    @extend_schema(request=CredentialIn, responses={204: None})
    def post(self, request: Request) -> Response:
        now = timezone.now()
        user = passkeys.finish_asking(
            host=self.host, now=now, state=request._request.session.pop(_ASKING, None),
            **self.given(CredentialIn),
        )  # fmt: skip
        shown = entry.Shown(proved_at=now, second_factor=True)
        principal = principals.principal_of_session(user=user, project_id=None, seen=shown)
        begin_session(request, user, shown)
        request.user = principal
        return Response(status=204)


class ForgottenView(GenericAPIView[Any]):
    """Take all second factors of somebody who lost them; their password stays."""

    module = "platform"
    proved: ClassVar = {"DELETE"}
    serializer_class = FactorOut

    @extend_schema(responses={204: None})
    def delete(self, request: Request, user_name: str) -> Response:
        factors.remove_all(user_name=user_name)
        return Response(status=204)
