"""Organisations and their projects, over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.http import Named, Whole
from slipway.tenancy import services
from slipway.tenancy.api.session import ProjectOut
from slipway.tenancy.models import Organisation
from slipway.tenancy.services import Level, projects, retention

_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"


class NameIn(serializers.Serializer[Any]):
    name = serializers.RegexField(
        _NAME, max_length=63, error_messages={"invalid": "lower-case letters, digits and -"}
    )


class OrganisationOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()


class OrganisationsView(GenericAPIView[Any]):
    """All organisations of the installation."""

    module = "platform"
    serializer_class = OrganisationOut
    pagination_class = Named
    queryset = Organisation.objects.all()

    @extend_schema(responses=OrganisationOut(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(OrganisationOut(page, many=True).data)

    @extend_schema(request=NameIn, responses={201: OrganisationOut})
    def post(self, request: Request) -> Response:
        """A new organisation, with one project called `default`."""
        given = NameIn(data=request.data)
        given.is_valid(raise_exception=True)
        made = projects.create_organisation(name=given.validated_data["name"])
        projects.create_project(organisation_id=made.pk, name="default")
        return Response(OrganisationOut(made).data, status=201)


class ProjectsView(GenericAPIView[Any]):
    """All projects of this organisation, those in the bin too."""

    module = "organisation"
    serializer_class = ProjectOut
    pagination_class = Whole

    @extend_schema(responses=ProjectOut(many=True))
    def get(self, request: Request) -> Response:
        rows = services.projects_of_organisation(organisation_id=request.user.organisation_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(ProjectOut(page, many=True).data)

    @extend_schema(request=NameIn, responses={201: ProjectOut})
    def post(self, request: Request) -> Response:
        given = NameIn(data=request.data)
        given.is_valid(raise_exception=True)
        made = projects.create_project(
            organisation_id=request.user.organisation_id, name=given.validated_data["name"]
        )
        fact = services.project_fact(project_id=made.pk)
        return Response(ProjectOut(fact).data, status=201)


class ProjectView(GenericAPIView[Any]):
    module = "organisation"
    proved: ClassVar = {"DELETE"}
    serializer_class = ProjectOut

    def _fact(self, project_id: UUID) -> dict[str, Any]:
        return ProjectOut(services.project_fact(project_id=project_id)).data

    def get(self, request: Request, project_id: UUID) -> Response:
        projects.own_project(principal=request.user, project_id=project_id)
        return Response(self._fact(project_id))

    @extend_schema(request=NameIn, responses=ProjectOut)
    def patch(self, request: Request, project_id: UUID) -> Response:
        given = NameIn(data=request.data)
        given.is_valid(raise_exception=True)
        projects.rename_project(
            principal=request.user, project_id=project_id, name=given.validated_data["name"]
        )
        return Response(self._fact(project_id))

    @extend_schema(responses=ProjectOut)
    def delete(self, request: Request, project_id: UUID) -> Response:
        """Into the bin; POST …/restore takes it out again."""
        projects.archive_project(principal=request.user, project_id=project_id, now=timezone.now())
        return Response(self._fact(project_id))


class RestoreView(GenericAPIView[Any]):
    """Out of the bin."""

    module = "organisation"
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = ProjectOut

    @extend_schema(request=None, responses=ProjectOut)
    def post(self, request: Request, project_id: UUID) -> Response:
        projects.restore_project(principal=request.user, project_id=project_id)
        return Response(ProjectOut(services.project_fact(project_id=project_id)).data)


class RetentionIn(serializers.Serializer[Any]):
    """Days; null is as long as the installation keeps it."""

    bin = serializers.IntegerField(allow_null=True, min_value=0)
    completions = serializers.IntegerField(allow_null=True, min_value=0)
    responses = serializers.IntegerField(allow_null=True, min_value=0)


class LongestOut(serializers.Serializer[Any]):
    bin = serializers.IntegerField(help_text="Deleted datasets and model versions.")
    completions = serializers.IntegerField(help_text="Stored chat completions.")
    responses = serializers.IntegerField(help_text="Responses of /v1/responses.")


class RetentionOut(serializers.Serializer[Any]):
    own = RetentionIn()
    longest = LongestOut(help_text="What the installation keeps, and no project longer.")


class RetentionView(GenericAPIView[Any]):
    """For how many days this project keeps what goes by itself."""

    levels: ClassVar = {"PUT": Level.FULL}
    serializer_class = RetentionOut

    def get(self, request: Request) -> Response:
        own = retention.of(project_id=request.user.project_id)
        longest = retention.longest()
        shown = {"own": {kind: own.get(kind) for kind in longest}, "longest": longest}
        return Response(RetentionOut(shown).data)

    @extend_schema(request=RetentionIn, responses=RetentionOut)
    def put(self, request: Request) -> Response:
        """Shorter or as long as before; what is older goes within a minute."""
        given = RetentionIn(data=request.data)
        given.is_valid(raise_exception=True)
        retention.set_days(project_id=request.user.project_id, days=given.validated_data)
        return self.get(request)
