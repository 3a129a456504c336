"""Identity providers of the organisation and what it asks of sessions, over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.editing import Guarded
from slipway.core.http import Whole
from slipway.tenancy.models import IdentityProvider, Organisation, ProviderKind
from slipway.tenancy.services import Level
from slipway.tenancy.services.signon import domains, providers
from slipway.tenancy.services.signon.saml.described import Here


class ProviderChange(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=63, required=False)
    settings = serializers.DictField(
        required=False,
        help_text="oidc: issuer, client_id, scopes, groups_claim. ldap: url, base_dn, bind_dn, "
        "user_filter, group_base. saml: metadata or metadata_url, email_attribute, "
        "name_attribute, groups_attribute.",
    )
    secret = serializers.CharField(
        max_length=4096, required=False, allow_blank=True, write_only=True,
        trim_whitespace=False, help_text="Stored sealed, never shown.",
    )  # fmt: skip
    domains = serializers.ListField(
        child=serializers.CharField(max_length=253), max_length=100, required=False,
        help_text="Mail domains whose people are sent there.",
    )  # fmt: skip
    groups = serializers.DictField(
        child=serializers.UUIDField(), required=False,
        help_text="The provider's name of a group to the id of the one here that mirrors it.",
    )  # fmt: skip
    default_role = serializers.ChoiceField(
        ["", *providers.role_names()], required=False,
        help_text="In the whole organisation, for who comes in for the first time.",
    )  # fmt: skip
    enabled = serializers.BooleanField(required=False)


class ProviderIn(ProviderChange):
    name = serializers.CharField(max_length=63)
    kind = serializers.ChoiceField(ProviderKind.choices)
    settings = serializers.DictField(help_text=ProviderChange().fields["settings"].help_text)
    enabled = None


class ProviderOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(ProviderKind.choices)
    settings = serializers.DictField()
    has_secret = serializers.SerializerMethodField()
    domains = serializers.SerializerMethodField()
    unproved_domains = serializers.SerializerMethodField(
        help_text="Nobody is sent here for these before they are proved."
    )
    groups = serializers.DictField(child=serializers.UUIDField())
    default_role = serializers.CharField()
    enabled = serializers.BooleanField()
    redirect_uri = serializers.SerializerMethodField(
        help_text="To be registered with the provider; empty for LDAP. For SAML where answers go."
    )
    entity_id = serializers.SerializerMethodField(
        help_text="For SAML what the provider calls us, and where our metadata is; else empty."
    )
    created_at = serializers.DateTimeField()

    def get_has_secret(self, row: IdentityProvider) -> bool:
        return bool(row.secret)

    def get_domains(self, row: IdentityProvider) -> list[str]:
        return sorted(domain.name for domain in row.domains.all())

    def get_unproved_domains(self, row: IdentityProvider) -> list[str]:
        return sorted(domain.name for domain in row.domains.all() if domain.proved_at is None)

    def get_redirect_uri(self, row: IdentityProvider) -> str:
        if row.kind == ProviderKind.SAML:
            return saml_here(row).answers_to
        return "" if row.kind == ProviderKind.LDAP else redirect_uri()

    def get_entity_id(self, row: IdentityProvider) -> str:
        return saml_here(row).entity_id if row.kind == ProviderKind.SAML else ""


def redirect_uri() -> str:
    """Where an OpenID provider sends the browser back to."""
    return f"{settings.PUBLIC_URL}/api/v1/sign-on/callback"


def saml_here(row: IdentityProvider) -> Here:
    """What a SAML provider knows of us; each knows us by another name."""
    entity_id = f"{settings.PUBLIC_URL}/api/v1/sign-on/saml/{row.pk}"
    return Here(entity_id=entity_id, answers_to=f"{entity_id}/answer")


class DomainOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    proved_at = serializers.DateTimeField(allow_null=True)
    record = serializers.CharField(help_text="Where the TXT record that proves it is to be.")
    value = serializers.CharField(help_text="What it says.")
    trouble = serializers.CharField(help_text="Why a look did not prove it; else empty.")


class DomainsView(GenericAPIView[Any]):
    """Mail domains of a provider, and how they are proved; POST looks for the records now."""

    module = "organisation"
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = DomainOut
    pagination_class = Whole
    audited = True
    waits = True

    @extend_schema(operation_id="identity_providers_domains_list", responses=DomainOut(many=True))
    def get(self, request: Request, provider_id: UUID) -> Response:
        row = providers.provider(principal=request.user, provider_id=provider_id)
        return self.listed(domains.claims(row))

    @extend_schema(
        operation_id="identity_providers_domains_prove", request=None,
        responses=DomainOut(many=True),
    )  # fmt: skip
    def post(self, request: Request, provider_id: UUID) -> Response:
        row = providers.provider(principal=request.user, provider_id=provider_id)
        return self.listed(domains.prove(row))

    def listed(self, found: list[domains.Claim]) -> Response:
        return self.get_paginated_response(DomainOut(self.paginate_queryset(found), many=True).data)


class ProvidersView(GenericAPIView[Any]):
    """Who answers for people of this organisation."""

    module = "organisation"
    levels: ClassVar = {"POST": Level.FULL}
    proved: ClassVar = {"POST"}
    serializer_class = ProviderOut
    pagination_class = Whole

    @extend_schema(operation_id="identity_providers_list", responses=ProviderOut(many=True))
    def get(self, request: Request) -> Response:
        rows = providers.providers_of(organisation_id=request.user.organisation_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(ProviderOut(page, many=True).data)

    @extend_schema(request=ProviderIn, responses={201: ProviderOut})
    def post(self, request: Request) -> Response:
        given = ProviderIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = providers.create(principal=request.user, **given.validated_data)
        return Response(ProviderOut(row).data, status=201)


class ProviderView(Guarded):
    guarded = ("name", "settings", "domains", "groups", "default_role", "enabled")
    module = "organisation"
    levels: ClassVar = {"PATCH": Level.FULL}
    proved: ClassVar = {"PATCH", "DELETE"}
    serializer_class = ProviderOut

    def get(self, request: Request, provider_id: UUID) -> Response:
        row = providers.provider(principal=request.user, provider_id=provider_id)
        return Response(ProviderOut(row).data)

    @extend_schema(request=ProviderChange, responses=ProviderOut)
    def patch(self, request: Request, provider_id: UUID) -> Response:
        given = ProviderChange(data=request.data)
        given.is_valid(raise_exception=True)
        row = providers.change(
            principal=request.user, provider_id=provider_id, **given.validated_data
        )
        return Response(ProviderOut(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, provider_id: UUID) -> Response:
        providers.delete(principal=request.user, provider_id=provider_id)
        return Response(status=204)


class TroubleOut(serializers.Serializer[Any]):
    trouble = serializers.CharField(help_text="Empty if it answers as it should.")


class ProviderCheckView(GenericAPIView[Any]):
    """Ask a provider whether it is there and is what its settings say."""

    module = "organisation"
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = TroubleOut
    audited = True
    waits = True

    @extend_schema(request=None, responses=TroubleOut)
    def post(self, request: Request, provider_id: UUID) -> Response:
        trouble = providers.try_out(principal=request.user, provider_id=provider_id)
        return Response({"trouble": trouble})


class SignInRules(serializers.Serializer[Any]):
    requires_sign_on = serializers.BooleanField(
        help_text="People come in through an identity provider only; owners of the whole "
        "organisation may still use their password."
    )
    requires_second_factor = serializers.BooleanField(help_text="A password alone lets nobody in.")


class SignInRulesView(Guarded):
    """What the organisation asks of everybody who comes in through a browser."""

    guarded = ("requires_sign_on", "requires_second_factor")
    module = "organisation"
    levels: ClassVar = {"PUT": Level.FULL}
    proved: ClassVar = {"PUT"}
    serializer_class = SignInRules

    @extend_schema(responses=SignInRules)
    def get(self, request: Request) -> Response:
        row = Organisation.objects.get(pk=request.user.organisation_id)
        return Response(SignInRules(row).data)

    @extend_schema(request=SignInRules, responses=SignInRules)
    def put(self, request: Request) -> Response:
        given = SignInRules(data=request.data)
        given.is_valid(raise_exception=True)
        Organisation.objects.filter(pk=request.user.organisation_id).update(**given.validated_data)
        return self.get(request)
