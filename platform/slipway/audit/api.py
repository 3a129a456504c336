"""Search, export and check what was changed here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.audit import services
from slipway.tenancy.services import Level


class SearchIn(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    actor = serializers.CharField(max_length=160, required=False)
    action = serializers.CharField(max_length=160, required=False, help_text="Or a part of it.")
    object = serializers.CharField(max_length=200, required=False, help_text="Or a part of it.")
    request_id = serializers.CharField(max_length=64, required=False)
    everywhere = serializers.BooleanField(
        default=False, help_text="In all projects of the organisation."
    )
    limit = serializers.IntegerField(min_value=1, max_value=500, default=50)
    cursor = serializers.IntegerField(min_value=1, required=False)


class EntryOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    key = serializers.UUIDField(allow_null=True)
    organisation = serializers.UUIDField(allow_null=True)
    project = serializers.UUIDField(allow_null=True)
    action = serializers.CharField()
    object = serializers.CharField()
    outcome = serializers.ChoiceField(["asked", "done", "refused"])
    status = serializers.IntegerField()
    asked = serializers.JSONField(allow_null=True)
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    request_id = serializers.CharField()
    origin = serializers.CharField()
    hash = serializers.CharField()


class EntriesOut(serializers.Serializer[Any]):
    data = EntryOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class EntriesView(GenericAPIView[Any]):
    """Changes in this project, newest first."""

    serializer_class = EntryOut
    pagination_class = None

    @extend_schema(parameters=[SearchIn], responses=EntriesOut)
    def get(self, request: Request) -> Response:
        given = SearchIn(data=request.query_params)
        given.is_valid(raise_exception=True)
        asked = dict(given.validated_data)
        limit, before = asked.pop("limit"), asked.pop("cursor", None)
        place: dict[str, Any] = {"project_id": request.user.project_id}
        if asked.pop("everywhere"):
            request.user.check_reach("organisation", Level.READ)
            place = {"organisation_id": request.user.organisation_id}
        rows = services.entries_of(**place, **asked)
        found, cursor = services.newest(rows=rows, before=before, limit=limit)
        return Response({"data": found, "next_cursor": str(cursor) if cursor else None})


class ExportView(GenericAPIView[Any]):
    """The whole log of the installation as JSON lines, sealed; `slipway audit verify` reads it."""

    module = "platform"
    serializer_class = EntryOut

    @extend_schema(responses={(200, "application/x-ndjson"): OpenApiResponse(response=str)})
    def get(self, request: Request) -> StreamingHttpResponse:
        lines: Iterator[str] = (f"{line}\n" for line in services.export_lines(now=timezone.now()))
        answer = StreamingHttpResponse(lines, content_type="application/x-ndjson")
        answer["content-disposition"] = 'attachment; filename="slipway-audit.jsonl"'
        return answer


class FaultOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    rule = serializers.CharField()


class CheckOut(serializers.Serializer[Any]):
    whole = serializers.BooleanField()
    faults = FaultOut(many=True)
    public_key = serializers.CharField(help_text="Ed25519, hex: keep a copy elsewhere.")


class CheckView(GenericAPIView[Any]):
    """Whether the log as it lies in the database is whole."""

    module = "platform"
    levels: ClassVar = {"GET": Level.READ}
    serializer_class = CheckOut

    @extend_schema(responses=CheckOut)
    def get(self, request: Request) -> Response:
        faults = services.verify_stored()
        return Response(
            CheckOut(
                {
                    "whole": not faults,
                    "faults": faults,
                    "public_key": services.public_key().hex(),
                }
            ).data
        )


urlpatterns = [
    path("audit", EntriesView.as_view()),
    path("audit/export", ExportView.as_view()),
    path("audit/check", CheckView.as_view()),
]
