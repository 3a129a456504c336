"""Groups and roles of the organisation, over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.editing import Guarded
from slipway.core.http import Whole
from slipway.tenancy.models import Group
from slipway.tenancy.services import LEVELS, Level, teams


class PeopleIn(serializers.Serializer[Any]):
    people = serializers.ListField(child=serializers.CharField(max_length=150), max_length=10_000)


class GroupIn(PeopleIn):
    name = serializers.CharField(max_length=63)


class GroupOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    people = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    def get_people(self, group: Group) -> list[str]:
        return sorted(person.username for person in group.people.all())


class GroupsView(GenericAPIView[Any]):
    """Groups of people who get roles together."""

    module = "organisation"
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = GroupOut
    pagination_class = Whole

    @extend_schema(responses=GroupOut(many=True))
    def get(self, request: Request) -> Response:
        rows = teams.groups_of(organisation_id=request.user.organisation_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(GroupOut(page, many=True).data)

    @extend_schema(request=GroupIn, responses={201: GroupOut})
    def post(self, request: Request) -> Response:
        given = GroupIn(data=request.data)
        given.is_valid(raise_exception=True)
        made = teams.create_group(principal=request.user, **given.validated_data)
        return Response(GroupOut(made).data, status=201)


class GroupView(Guarded):
    guarded = ("people",)
    module = "organisation"
    levels: ClassVar = {"PUT": Level.FULL}
    serializer_class = GroupOut

    def get(self, request: Request, group_id: UUID) -> Response:
        return Response(GroupOut(teams.group(principal=request.user, group_id=group_id)).data)

    @extend_schema(request=PeopleIn, responses=GroupOut)
    def put(self, request: Request, group_id: UUID) -> Response:
        given = PeopleIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = teams.change_group(
            principal=request.user, group_id=group_id, people=given.validated_data["people"]
        )
        return Response(GroupOut(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, group_id: UUID) -> Response:
        teams.delete_group(principal=request.user, group_id=group_id)
        return Response(status=204)


class LevelsIn(serializers.Serializer[Any]):
    levels = serializers.DictField(
        child=serializers.ChoiceField(list(LEVELS)), help_text="Module to level."
    )


class CustomRoleIn(LevelsIn):
    name = serializers.CharField(max_length=63)


class CustomRoleOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    levels = serializers.DictField(child=serializers.CharField())
    created_at = serializers.DateTimeField()


class RolesView(GenericAPIView[Any]):
    """Roles of this organisation's own making; the ready-made ones are at /access/modules."""

    module = "organisation"
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = CustomRoleOut
    pagination_class = Whole

    @extend_schema(responses=CustomRoleOut(many=True))
    def get(self, request: Request) -> Response:
        rows = teams.roles_of(organisation_id=request.user.organisation_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(CustomRoleOut(page, many=True).data)

    @extend_schema(request=CustomRoleIn, responses={201: CustomRoleOut})
    def post(self, request: Request) -> Response:
        given = CustomRoleIn(data=request.data)
        given.is_valid(raise_exception=True)
        made = teams.create_role(principal=request.user, **given.validated_data)
        return Response(CustomRoleOut(made).data, status=201)


class RoleView(Guarded):
    guarded = ("levels",)
    module = "organisation"
    levels: ClassVar = {"PUT": Level.FULL}
    serializer_class = CustomRoleOut

    def get(self, request: Request, role_id: UUID) -> Response:
        return Response(CustomRoleOut(teams.role(principal=request.user, role_id=role_id)).data)

    @extend_schema(request=LevelsIn, responses=CustomRoleOut)
    def put(self, request: Request, role_id: UUID) -> Response:
        given = LevelsIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = teams.change_role(
            principal=request.user, role_id=role_id, levels=given.validated_data["levels"]
        )
        return Response(CustomRoleOut(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, role_id: UUID) -> Response:
        teams.delete_role(principal=request.user, role_id=role_id)
        return Response(status=204)
