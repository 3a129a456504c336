"""Versions: fill by upload or import, look at faults, rows and statistics, publish, delete."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.errors import Conflict, Detail, Invalid
from slipway.core.lifecycle import subject_of
from slipway.core.models import Event
from slipway.datasets import services
from slipway.datasets.api import shapes
from slipway.datasets.models import Version
from slipway.datasets.services import imports, rows, uploads
from slipway.datasets.services.facts import dataset_of, version_of
from slipway.tenancy.permissions import MayChange


def _page(most: int) -> list[OpenApiParameter]:
    return [
        OpenApiParameter("limit", int, description=f"1 to {most}"),
        OpenApiParameter("cursor", str, description="next_cursor of the page before"),
    ]


def _number(request: Request, name: str, default: int, low: int, high: int) -> int:
    raw = request.query_params.get(name, str(default))
    if not (raw.isascii() and raw.isdecimal() and len(raw) <= 15 and low <= int(raw) <= high):
        raise Invalid(
            f"{name} must be a whole number from {low} to {high}, not {raw[:50]!r}.",
            Detail(field=name, rule=f"{low}…{high}", value=raw),
        )
    return int(raw)


class _VersionView(GenericAPIView[Any]):
    permission_classes: ClassVar = [MayChange]
    serializer_class: Any = shapes.DatasetVersionOut
    pagination_class = None

    def version(self, request: Request, version_id: UUID) -> Version:
        return version_of(project_id=request.user.project_id, version_id=version_id)


class VersionsView(GenericAPIView[Any]):
    """Versions of a dataset, the newest first; POST makes the next one, an empty draft."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetVersionOut

    @extend_schema(responses=shapes.DatasetVersionOut(many=True))
    def get(self, request: Request, dataset_id: UUID) -> Response:
        dataset = dataset_of(project_id=request.user.project_id, dataset_id=dataset_id)
        found = Version.objects.filter(dataset=dataset).select_related("dataset")
        page = self.paginate_queryset(found.prefetch_related("holds"))
        return self.get_paginated_response(shapes.DatasetVersionOut(page, many=True).data)

    @extend_schema(request=shapes.DatasetVersionIn, responses={201: shapes.DatasetVersionOut})
    def post(self, request: Request, dataset_id: UUID) -> Response:
        given = shapes.DatasetVersionIn(data=request.data)
        given.is_valid(raise_exception=True)
        version = services.create_version(
            project_id=request.user.project_id,
            dataset_id=dataset_id,
            now=timezone.now(),
            made_by=request.user.user_name,
            **given.validated_data,
        )
        return Response(shapes.DatasetVersionOut(version).data, status=201)


class VersionView(_VersionView):
    """One version: its phase and why, its rows and hash, and what uses it."""

    def get(self, request: Request, version_id: UUID) -> Response:
        return Response(shapes.DatasetVersionOut(self.version(request, version_id)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, version_id: UUID) -> Response:
        services.delete_version(project_id=request.user.project_id, version_id=version_id)
        return Response(status=204)


class UploadView(_VersionView):
    """Upload in parts: POST plans or resumes, GET lists what was received, DELETE forgets it.

    PUT each part to its address, then POST …/upload/finish.
    """

    serializer_class = shapes.DatasetUploadOut
    waits = True

    @extend_schema(request=shapes.DatasetUploadIn, responses=shapes.DatasetUploadOut)
    def post(self, request: Request, version_id: UUID) -> Response:
        given = shapes.DatasetUploadIn(data=request.data)
        given.is_valid(raise_exception=True)
        upload = uploads.start(
            project_id=request.user.project_id,
            version_id=version_id,
            now=timezone.now(),
            **given.validated_data,
        )
        return Response(shapes.DatasetUploadOut(upload).data)

    def get(self, request: Request, version_id: UUID) -> Response:
        upload = uploads.state(
            project_id=request.user.project_id, version_id=version_id, now=timezone.now()
        )
        return Response(shapes.DatasetUploadOut(upload).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, version_id: UUID) -> Response:
        uploads.abort(project_id=request.user.project_id, version_id=version_id)
        return Response(status=204)


class FinishView(_VersionView):
    """All parts are there: join them and let the worker check the rows."""

    waits = True

    @extend_schema(request=None, responses=shapes.DatasetVersionOut)
    def post(self, request: Request, version_id: UUID) -> Response:
        version = uploads.finish(
            project_id=request.user.project_id, version_id=version_id, now=timezone.now()
        )
        return Response(shapes.DatasetVersionOut(version).data)


class ImportView(_VersionView):
    """Fill from a path on the server or a URL, each only where the installation allows it."""

    waits = True

    @extend_schema(request=shapes.DatasetImportIn, responses=shapes.DatasetVersionOut)
    def post(self, request: Request, version_id: UUID) -> Response:
        given = shapes.DatasetImportIn(data=request.data)
        given.is_valid(raise_exception=True)
        version = imports.start(
            project_id=request.user.project_id,
            version_id=version_id,
            now=timezone.now(),
            **given.validated_data,
        )
        return Response(shapes.DatasetVersionOut(version).data)


class PublishView(_VersionView):
    """Make a valid version immutable; only published versions train and evaluate."""

    @extend_schema(request=None, responses=shapes.DatasetVersionOut)
    def post(self, request: Request, version_id: UUID) -> Response:
        version = services.publish(
            project_id=request.user.project_id, version_id=version_id, now=timezone.now()
        )
        return Response(shapes.DatasetVersionOut(version).data)


class EventsView(GenericAPIView[Any]):
    """What happened to a version, the newest first."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetEventOut

    @extend_schema(responses=shapes.DatasetEventOut(many=True))
    def get(self, request: Request, version_id: UUID) -> Response:
        version = version_of(project_id=request.user.project_id, version_id=version_id)
        page = self.paginate_queryset(Event.objects.filter(subject=subject_of(version)))
        return self.get_paginated_response(shapes.DatasetEventOut(page, many=True).data)


class FaultsView(_VersionView):
    """Every fault with its line, path, rule, value and fix, in the order of the file."""

    serializer_class = shapes.DatasetFaultsOut

    @extend_schema(
        parameters=[*_page(1000), OpenApiParameter("rule", str, description="only of this rule")]
    )
    def get(self, request: Request, version_id: UUID) -> Response:
        version = self.version(request, version_id)
        found, following = rows.faults(
            project_id=request.user.project_id,
            version_id=version_id,
            offset=_number(request, "cursor", 0, 0, 10**9),
            limit=_number(request, "limit", 100, 1, 1000),
            rule=request.query_params.get("rule", ""),
        )
        body = {
            "data": found,
            "next_cursor": None if following is None else str(following),
            "fault_count": version.fault_count,
            "warning_count": version.warning_count,
            "by_rule": version.faults_by_rule,
        }
        return Response(shapes.DatasetFaultsOut(body).data)


class RowsView(_VersionView):
    """Rows in canonical form by number, from 0; the cursor is the number of the next row."""

    serializer_class = shapes.DatasetRowsOut

    @extend_schema(
        parameters=[
            *_page(500),
            OpenApiParameter("group", str, description="only this group"),
            OpenApiParameter("at_least", int, description="so many characters, or more"),
            OpenApiParameter("at_most", int, description="so many characters, or fewer"),
            OpenApiParameter("labelled", bool, description="only with a label, or only without"),
        ]
    )
    def get(self, request: Request, version_id: UUID) -> Response:
        version = self.version(request, version_id)
        page = rows.page(
            project_id=request.user.project_id,
            version_id=version_id,
            offset=_number(request, "cursor", 0, 0, 10**12),
            limit=_number(request, "limit", 50, 1, 500),
            wanted=_wanted(request),
        )
        body = {
            "data": [{"number": number, "row": row} for number, row in page.rows],
            "next_cursor": None if page.next_offset is None else str(page.next_offset),
            "rows": version.rows,
        }
        return Response(shapes.DatasetRowsOut(body).data)


def _wanted(request: Request) -> rows.Wanted | None:
    """The filter that was asked for, None for all rows."""
    asked = request.query_params
    labelled = asked.get("labelled", "").lower()
    if not any(asked.get(name) for name in ("group", "at_least", "at_most", "labelled")):
        return None
    return rows.Wanted(
        group=asked.get("group", ""),
        at_least=_number(request, "at_least", 0, 0, 10**12),
        at_most=_number(request, "at_most", 0, 0, 10**12) if asked.get("at_most") else None,
        labelled=labelled in {"1", "true"} if labelled else None,
    )


class StatisticsView(_VersionView):
    """Lengths, messages, exact duplicates and groups of a checked version."""

    serializer_class = shapes.DatasetStatisticsOut

    def get(self, request: Request, version_id: UUID) -> Response:
        version = self.version(request, version_id)
        if not version.statistics:
            raise Conflict(
                f"This version was not checked yet; it is {version.phase}.",
                Detail(field="phase", rule="checked", value=version.phase),
            )
        # Versions that were checked before there were bars have none.
        bars = version.statistics.get("lengths", [])
        body = version.statistics | {
            "rows": version.rows,
            "size_bytes": version.size_bytes,
            "lengths": [dict(zip(("low", "high", "rows"), bar, strict=True)) for bar in bars],
        }
        return Response(shapes.DatasetStatisticsOut(body).data)
