"""Members, invites and service accounts of the project, over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import permissions, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.editing import Guarded
from slipway.core.http import Whole
from slipway.tenancy.models import Invite, Membership
from slipway.tenancy.services import Level, invites, people

_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"


class MemberIn(serializers.Serializer[Any]):
    user = serializers.CharField(max_length=150, required=False, default="")
    group = serializers.UUIDField(required=False, allow_null=True, default=None)
    role = serializers.CharField(max_length=63)
    everywhere = serializers.BooleanField(
        default=False, help_text="In all projects of the organisation, not only in this one."
    )


class RoleIn(serializers.Serializer[Any]):
    role = serializers.CharField(max_length=63)


class MemberOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    user = serializers.CharField(source="user.username", allow_null=True, default=None)
    email = serializers.CharField(source="user.email", allow_null=True, default=None)
    group = serializers.CharField(source="group.name", allow_null=True, default=None)
    group_id = serializers.UUIDField(allow_null=True)
    role = serializers.CharField(source="role_name", read_only=True)
    everywhere = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    def get_everywhere(self, row: Membership) -> bool:
        return row.organisation_id is not None


class MembersView(GenericAPIView[Any]):
    """Who has a role here: people, groups and service accounts."""

    serializer_class = MemberOut
    pagination_class = Whole
    # Who is let in, and with what rights, is for owners to say.
    levels: ClassVar = {"POST": Level.FULL}

    @extend_schema(responses=MemberOut(many=True))
    def get(self, request: Request) -> Response:
        rows = people.members_of(request.user)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(MemberOut(page, many=True).data)

    @extend_schema(request=MemberIn, responses={201: MemberOut})
    def post(self, request: Request) -> Response:
        given = MemberIn(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        if asked["everywhere"]:
            request.user.check_reach("organisation", Level.FULL)
        row = people.add_member(
            principal=request.user,
            role=asked["role"],
            user_name=asked["user"],
            group_id=asked["group"],
            everywhere=asked["everywhere"],
        )
        return Response(MemberOut(row).data, status=201)


class MemberView(Guarded):
    guarded = ("role",)
    serializer_class = MemberOut
    levels: ClassVar = {"PATCH": Level.FULL}

    def get(self, request: Request, member_id: UUID) -> Response:
        return Response(MemberOut(people.member(request.user, member_id)).data)

    @extend_schema(request=RoleIn, responses=MemberOut)
    def patch(self, request: Request, member_id: UUID) -> Response:
        given = RoleIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = people.change_member(
            principal=request.user, member_id=member_id, role=given.validated_data["role"]
        )
        return Response(MemberOut(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, member_id: UUID) -> Response:
        people.remove_member(principal=request.user, member_id=member_id)
        return Response(status=204)


class InviteIn(serializers.Serializer[Any]):
    email = serializers.EmailField()
    role = serializers.CharField(max_length=63)


class InviteOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    email = serializers.EmailField()
    role = serializers.CharField(source="role_name", read_only=True)
    invited_by = serializers.CharField(source="invited_by.username")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class NewInviteOut(InviteOut):
    token = serializers.CharField(help_text="Shown this once; whoever has it is let in.")
    link = serializers.CharField(help_text="The same as an address to send.")


class InvitesView(GenericAPIView[Any]):
    """Invites that nobody accepted yet."""

    serializer_class = InviteOut
    queryset = Invite.objects.none()
    levels: ClassVar = {"POST": Level.FULL}

    @extend_schema(responses=InviteOut(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(invites.waiting(project_id=request.user.project_id))
        return self.get_paginated_response(InviteOut(page, many=True).data)

    @extend_schema(request=InviteIn, responses={201: NewInviteOut})
    def post(self, request: Request) -> Response:
        given = InviteIn(data=request.data)
        given.is_valid(raise_exception=True)
        issued = invites.invite(principal=request.user, now=timezone.now(), **given.validated_data)
        issued.invite.token = issued.token
        # After `#`: a browser sends it to no server and no log on the way.
        issued.invite.link = f"{settings.PUBLIC_URL}/invite#{issued.token}"
        return Response(NewInviteOut(issued.invite).data, status=201)


class InviteView(GenericAPIView[Any]):
    serializer_class = InviteOut

    @extend_schema(responses={204: None})
    def delete(self, request: Request, invite_id: UUID) -> Response:
        invites.withdraw(principal=request.user, invite_id=invite_id)
        return Response(status=204)


class AcceptIn(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200)
    user = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class AcceptedOut(serializers.Serializer[Any]):
    user = serializers.CharField()


class AcceptView(GenericAPIView[Any]):
    """Come in: makes your account, or uses the one whose password you give."""

    authentication_classes: ClassVar[list[Any]] = []
    permission_classes: ClassVar = [permissions.AllowAny]
    serializer_class = AcceptIn
    audited = True
    #: Wrong passwords are noted, which a refusal must not undo.
    waits = True

    @extend_schema(request=AcceptIn, responses={201: AcceptedOut})
    def post(self, request: Request) -> Response:
        given = AcceptIn(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        user = invites.accept(
            token=asked["token"],
            user_name=asked["user"],
            password=asked["password"],
            address=request.META.get("REMOTE_ADDR", ""),
            now=timezone.now(),
        )
        return Response({"user": user.username}, status=201)


class AccountIn(serializers.Serializer[Any]):
    name = serializers.RegexField(_NAME, max_length=63)
    role = serializers.CharField(max_length=63)


class AccountOut(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="user.pk")
    name = serializers.CharField(source="user.first_name")
    role = serializers.CharField(source="role_name", read_only=True)
    created_at = serializers.DateTimeField()


class AccountsView(GenericAPIView[Any]):
    """Service accounts: members that are programs. They act by keys made for them."""

    serializer_class = AccountOut
    pagination_class = Whole
    levels: ClassVar = {"POST": Level.FULL}

    @extend_schema(responses=AccountOut(many=True))
    def get(self, request: Request) -> Response:
        rows = people.service_accounts_of(project_id=request.user.project_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(AccountOut(page, many=True).data)

    @extend_schema(request=AccountIn, responses={201: AccountOut})
    def post(self, request: Request) -> Response:
        given = AccountIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = people.create_service_account(principal=request.user, **given.validated_data)
        return Response(AccountOut(row).data, status=201)


class AccountView(GenericAPIView[Any]):
    serializer_class = AccountOut

    @extend_schema(responses={204: None})
    def delete(self, request: Request, account_id: int) -> Response:
        people.retire_service_account(principal=request.user, account_id=account_id)
        return Response(status=204)
