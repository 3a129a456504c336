"""Coming in by SAML: our metadata, the provider's answer, and the browser that fetches it."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core import together
from slipway.core.errors import NotFound, Refused
from slipway.tenancy.api.providers import saml_here
from slipway.tenancy.api.signon import LEFT, Door, to
from slipway.tenancy.models import IdentityProvider, ProviderKind
from slipway.tenancy.services.signon.saml import answered, kept
from slipway.tenancy.services.signon.seen import Untrusted


class AnswerIn(serializers.Serializer[Any]):
    SAMLResponse = serializers.CharField(help_text="Base64, as the provider has it posted.")


class _Saml(Door):
    def enabled(self, provider_id: Any) -> IdentityProvider:
        row = super().enabled(provider_id)
        if row.kind != ProviderKind.SAML:
            raise NotFound("There is no such identity provider.")
        return row


class SamlView(_Saml):
    """What the provider is to know of us."""

    @extend_schema(
        operation_id="sign_on_saml_metadata",
        responses={(200, "application/samlmetadata+xml"): OpenApiTypes.STR},
    )
    def get(self, request: Request, provider_id: UUID) -> HttpResponse:
        data = saml_here(self.enabled(provider_id)).metadata()
        return HttpResponse(data, content_type="application/samlmetadata+xml")


class SamlAnswerView(_Saml):
    """Where the provider has the browser post its answer: from another site, without session."""

    audited = True
    waits = True
    works_read_only = True
    parser_classes: ClassVar = [FormParser]

    @extend_schema(
        operation_id="sign_on_saml_answer",
        request={"application/x-www-form-urlencoded": AnswerIn},
        responses={303: None},
    )
    def post(self, request: Request, provider_id: UUID) -> Response:
        now = timezone.now()
        try:
            provider = self.enabled(provider_id)
            given = str(request.data.get("SAMLResponse", ""))
            found = answered.read(provider, given, here=saml_here(provider), now=now)
            together.begin()
            code = kept.keep(provider, found, now=now)
        except Refused as error:
            return self.back(request, error)
        return to(f"/api/v1/sign-on/saml/finish?code={code}", status=303)


class SamlFinishView(_Saml):
    """Where the browser comes with its session to take what was proved."""

    audited = True
    audited_get = True
    waits = True

    @extend_schema(
        operation_id="sign_on_saml_finish",
        parameters=[OpenApiParameter("code", str)],
        responses={302: None},
    )
    def get(self, request: Request) -> Response:
        try:
            left = request._request.session.pop(LEFT, None)
            if left is None or "request" not in left:
                raise Untrusted("the answer belongs to no sign-on of this browser")
            provider = self.enabled(left["provider"])
            together.begin()
            seen = kept.take(
                code=request.query_params.get("code", ""), provider=left["provider"],
                request=left["request"], anew=left["anew"], now=timezone.now(),
            )  # fmt: skip
            return self.enter(request, provider, seen, left)
        except Refused as error:
            return self.back(request, error)
