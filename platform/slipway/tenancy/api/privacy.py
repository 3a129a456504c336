"""What is known of a person, for themself and for who must answer them; and its end."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.tenancy.api.factors import Own
from slipway.tenancy.services import Level, own, privacy


class KnownMembershipOut(serializers.Serializer[Any]):
    role = serializers.CharField(source="role_name")
    project = serializers.CharField(source="project.name", default=None, allow_null=True)
    organisation = serializers.CharField(source="organisation.name", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class KnownIdentityOut(serializers.Serializer[Any]):
    provider = serializers.CharField(source="provider.name")
    subject = serializers.CharField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class KnownSessionOut(serializers.Serializer[Any]):
    address = serializers.CharField()
    agent = serializers.CharField()
    created_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()


class KnownFactorOut(serializers.Serializer[Any]):
    kind = serializers.CharField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class KnownKeyOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    redacted = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class KnownOut(serializers.Serializer[Any]):
    """All that accounts hold of one person, without secrets."""

    user = serializers.CharField(source="user.username")
    email = serializers.CharField(source="user.email")
    first_name = serializers.CharField(source="user.first_name")
    last_name = serializers.CharField(source="user.last_name")
    joined_at = serializers.DateTimeField(source="user.date_joined")
    signed_in_at = serializers.DateTimeField(source="user.last_login", allow_null=True)
    memberships = KnownMembershipOut(many=True)
    groups = serializers.SerializerMethodField()
    identities = KnownIdentityOut(many=True)
    provisioned = serializers.SerializerMethodField(help_text="As directories wrote them (SCIM).")
    sessions = KnownSessionOut(many=True)
    factors = KnownFactorOut(many=True)
    keys = KnownKeyOut(many=True)

    def get_groups(self, known: privacy.Known) -> list[str]:
        return [group.name for group in known.groups]

    def get_provisioned(self, known: privacy.Known) -> list[dict[str, Any]]:
        return [row.data for row in known.provisioned]


class OwnDataView(Own):
    """What is known of whoever is signed in; what they did is in the audit log."""

    serializer_class = KnownOut

    @extend_schema(operation_id="own_data", responses=KnownOut)
    def get(self, request: Request) -> Response:
        return Response(KnownOut(privacy.known_of(user=request.user)).data)


class PersonDataView(GenericAPIView[Any]):
    """The same of anybody, for who answers people's requests."""

    module = "platform"
    levels: ClassVar = {"GET": Level.FULL}
    serializer_class = KnownOut

    @extend_schema(operation_id="person_data", responses=KnownOut)
    def get(self, request: Request, user_name: str) -> Response:
        user = privacy.person(user_name=user_name)
        return Response(KnownOut(privacy.known_of(user=user)).data)


class PersonSessionsView(GenericAPIView[Any]):
    """Sign somebody out everywhere; their keys go on."""

    module = "platform"
    proved: ClassVar = {"DELETE"}
    serializer_class = KnownOut

    @extend_schema(operation_id="person_sessions_end", responses={204: None})
    def delete(self, request: Request, user_name: str) -> Response:
        own.end_others(user=privacy.person(user_name=user_name), but=None)
        return Response(status=204)


class PersonView(GenericAPIView[Any]):
    """End a person's account and take their name off everything but the audit log.

    What they made stays; their keys end. Refused while they alone own something.
    """

    module = "platform"
    proved: ClassVar = {"DELETE"}
    serializer_class = KnownOut

    @extend_schema(operation_id="person_forget", responses={204: None})
    def delete(self, request: Request, user_name: str) -> Response:
        privacy.forget(user_name=user_name, now=timezone.now())
        return Response(status=204)
