"""Coming in through an identity provider: the browser leaves for it and comes back with an answer.

What fails leads back to the sign-in page with a code; the log has the words.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth import get_user, login
from django.middleware.csrf import get_token
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import permissions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core import together
from slipway.core.errors import Forbidden, NotFound, Refused
from slipway.core.http import Whole, error_body
from slipway.tenancy.api.providers import redirect_uri, saml_here
from slipway.tenancy.models import IdentityProvider, ProviderKind, User
from slipway.tenancy.services import entry, own, principals
from slipway.tenancy.services.signon import joining, oidc, providers
from slipway.tenancy.services.signon.saml import asked
from slipway.tenancy.services.signon.seen import Seen, Untrusted

logger = logging.getLogger(__name__)
#: Where a browser's session keeps what it left with.
LEFT = "left_for_provider"


class OfferIn(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=320)


class OfferOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(ProviderKind.choices)


class OffersView(GenericAPIView[Any]):
    """Identity providers that answer for the people of a mail domain."""

    authentication_classes: ClassVar[list[Any]] = []
    permission_classes: ClassVar = [permissions.AllowAny]
    # Nothing is changed, so there is nothing to record.
    levels: ClassVar = {"POST": 0}
    serializer_class = OfferOut
    pagination_class = Whole

    @extend_schema(operation_id="sign_on_offers", request=OfferIn, responses=OfferOut(many=True))
    def post(self, request: Request) -> Response:
        given = OfferIn(data=request.data)
        given.is_valid(raise_exception=True)
        page = self.paginate_queryset(providers.offers(email=given.validated_data["email"]))
        return self.get_paginated_response(OfferOut(page, many=True).data)


class Door(GenericAPIView[Any]):
    """What a browser is sent through by its address bar: answers are redirects."""

    authentication_classes: ClassVar[list[Any]] = []
    permission_classes: ClassVar = [permissions.AllowAny]
    serializer_class = OfferOut

    def enabled(self, provider_id: Any) -> IdentityProvider:
        row = IdentityProvider.objects.filter(pk=provider_id, enabled=True).first()
        if row is None:
            raise NotFound("There is no such identity provider.")
        return row

    def back(self, request: Request, error: Refused) -> Response:
        """To the sign-in page, with a code that it has words for."""
        logger.warning("sign-on failed: %s", error.message)
        answer = to(f"/?sign-in={error.code}", error_body(error.code, error.message))
        answer.refused = True
        return answer

    def enter(
        self, request: Request, provider: IdentityProvider, seen: Seen, left: dict[str, Any]
    ) -> Response:
        """Sign the person in, or take the proof of who is signed in already."""
        now = timezone.now()
        together.begin()
        user = joining.person_of(provider=provider, seen=seen, now=now)
        if left["anew"] and left["user"] != user.pk:
            raise Untrusted("somebody else than who is signed in here answered")
        shown = entry.Shown(
            proved_at=now, signed_on_to=provider.organisation_id, second_factor=True
        )
        principal = principals.principal_of_session(user=user, project_id=None, seen=shown)
        begin_session(request, user, shown)
        request.user = principal
        return to(left["next"])


class LeaveView(Door):
    """Send the browser to a provider; `next` is where it ends up in the console."""

    @extend_schema(
        operation_id="sign_on_leave",
        parameters=[OpenApiParameter("next", str), OpenApiParameter("anew", bool)],
        responses={302: None},
    )
    def get(self, request: Request, provider_id: UUID) -> Response:
        provider = self.enabled(provider_id)
        session = request._request.session
        anew = request.query_params.get("anew") == "true"
        signed_in = get_user(request._request)
        left = {
            "next": local(request.query_params.get("next", "/")),
            "anew": anew,
            "user": signed_in.pk if signed_in.is_authenticated else None,
        }
        try:
            begun, address = self.leave(request, provider, anew=anew)
        except Refused as error:
            return self.back(request, error)
        session[LEFT] = asdict(begun) | left
        return to(address)

    def leave(
        self, request: Request, provider: IdentityProvider, *, anew: bool
    ) -> tuple[oidc.Begun | asked.Begun, str]:
        """What the session keeps meanwhile, and the provider's address."""
        if provider.kind == ProviderKind.SAML:
            by_saml = asked.Begun.fresh(provider)
            here, now = saml_here(provider), timezone.now()
            return by_saml, asked.leave_for(provider, by_saml, here=here, anew=anew, now=now)
        if provider.kind != ProviderKind.OIDC:
            raise NotFound(f"{provider.name} is asked with a name and a password.")
        begun = oidc.Begun.fresh(provider)
        hint = request.query_params.get("hint", "")[:320]
        return begun, oidc.leave_for(
            provider, begun, redirect_uri=redirect_uri(), hint=hint, anew=anew
        )


class CallbackView(Door):
    """Where OpenID providers send the browser back to."""

    #: A session begins here, though by GET; what does is recorded.
    audited = True
    audited_get = True
    waits = True

    @extend_schema(
        operation_id="sign_on_callback",
        parameters=[OpenApiParameter(name, str) for name in ("code", "state", "iss", "error")],
        responses={302: None},
    )
    def get(self, request: Request) -> Response:
        given = request.query_params
        try:
            left = request._request.session.pop(LEFT, None)
            if left is None or "state" not in left or given.get("state") != left["state"]:
                raise Untrusted("the answer belongs to no sign-on of this browser")
            provider = self.enabled(left["provider"])
            if "error" in given:
                raise Forbidden(f"{provider.name} refused: {given['error'][:100]}")
            begun = oidc.Begun(
                **{name: left[name] for name in ("provider", "state", "nonce", "verifier")}
            )
            seen = oidc.come_back(
                provider, begun, code=given.get("code", ""), issuer=given.get("iss", ""),
                redirect_uri=redirect_uri(), anew=left["anew"],
            )  # fmt: skip
            return self.enter(request, provider, seen, left)
        except Refused as error:
            return self.back(request, error)


def begin_session(request: Request, user: User, shown: entry.Shown) -> None:
    """A session with a new key, that remembers what its person has shown."""
    login(request._request, user)
    session = request._request.session
    session[entry.SHOWN] = shown.stored()
    session[own.SESSION] = str(
        own.begin(
            user=user,
            address=request.META.get("REMOTE_ADDR", ""),
            agent=request.headers.get("user-agent", ""),
            now=timezone.now(),
            instead_of=session.get(own.SESSION),
        )
    )
    get_token(request._request)


def local(path: str) -> str:
    """A path of this origin; `/` for anything that may lead elsewhere."""
    plain = path.startswith("/") and path.isprintable() and path.isascii()
    return path if plain and not path.startswith(("//", "/\\")) and "\\" not in path else "/"


def to(address: str, data: Any = None, *, status: int = 302) -> Response:
    """Send the browser to an address; `data` is for the audit log."""
    return Response(data, status=status, headers={"location": address, "cache-control": "no-store"})
