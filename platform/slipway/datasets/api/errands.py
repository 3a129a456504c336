"""What the worker does with a checked version: correct, split, look for leaks, export."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.datasets.api import shapes
from slipway.datasets.models import Export, LeakCheck
from slipway.datasets.services import exports, imports, leaks, split
from slipway.datasets.services.facts import version_of
from slipway.tenancy.permissions import MayChange


class CorrectedView(GenericAPIView[Any]):
    """The corrected file of an invalid version; POST takes it as the dataset's next version."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetDownloadOut

    @extend_schema(responses=shapes.DatasetDownloadOut)
    def get(self, request: Request, version_id: UUID) -> Response:
        found = exports.corrected(
            project_id=request.user.project_id, version_id=version_id, now=timezone.now()
        )
        return Response(shapes.DatasetDownloadOut(found).data)

    @extend_schema(request=None, responses={201: shapes.DatasetVersionOut})
    def post(self, request: Request, version_id: UUID) -> Response:
        version = imports.corrected(
            project_id=request.user.project_id,
            version_id=version_id,
            now=timezone.now(),
            made_by=request.user.user_name,
        )
        return Response(shapes.DatasetVersionOut(version).data, status=201)


class SplitView(GenericAPIView[Any]):
    """Split into train and held-out versions, with a leak check between the two."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetSplitOut

    @extend_schema(request=shapes.DatasetSplitIn, responses={201: shapes.DatasetSplitOut})
    @transaction.atomic
    def post(self, request: Request, version_id: UUID) -> Response:
        given = shapes.DatasetSplitIn(data=request.data)
        given.is_valid(raise_exception=True)
        project_id, now = request.user.project_id, timezone.now()
        train, held_out = split.start(
            project_id=project_id,
            version_id=version_id,
            now=now,
            made_by=request.user.user_name,
            **given.validated_data,
        )
        check = leaks.start(
            project_id=project_id, version_id=held_out.pk, other_id=train.pk, now=now
        )
        body = {"train": train, "held_out": held_out, "leaks": check}
        return Response(shapes.DatasetSplitOut(body).data, status=201)


class LeaksView(GenericAPIView[Any]):
    """Rows of this version that are, nearly or wholly, in another one: checks and new checks."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetLeakCheckOut

    @extend_schema(responses=shapes.DatasetLeakCheckOut(many=True))
    def get(self, request: Request, version_id: UUID) -> Response:
        version = version_of(project_id=request.user.project_id, version_id=version_id)
        page = self.paginate_queryset(LeakCheck.objects.filter(version=version))
        return self.get_paginated_response(shapes.DatasetLeakCheckOut(page, many=True).data)

    @extend_schema(request=shapes.DatasetLeaksIn, responses={201: shapes.DatasetLeakCheckOut})
    def post(self, request: Request, version_id: UUID) -> Response:
        given = shapes.DatasetLeaksIn(data=request.data)
        given.is_valid(raise_exception=True)
        check = leaks.start(
            project_id=request.user.project_id,
            version_id=version_id,
            other_id=given.validated_data["other"],
            threshold=given.validated_data["threshold"],
            scope=given.validated_data["scope"],
            now=timezone.now(),
        )
        return Response(shapes.DatasetLeakCheckOut(check).data, status=201)


class LeakView(GenericAPIView[Any]):
    """One leak check with its pairs, the first 1,000 of them."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetLeakCheckOut

    def get(self, request: Request, check_id: UUID) -> Response:
        check = leaks.leak_check_of(project_id=request.user.project_id, check_id=check_id)
        return Response(shapes.DatasetLeakCheckOut(check).data)


class ExportsView(GenericAPIView[Any]):
    """Exports of a version, and new ones; the same format again is the same export."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetExportOut

    @extend_schema(responses=shapes.DatasetExportOut(many=True))
    def get(self, request: Request, version_id: UUID) -> Response:
        version = version_of(project_id=request.user.project_id, version_id=version_id)
        found = Export.objects.filter(version=version).select_related("version__dataset")
        page = [_with_download(export) for export in self.paginate_queryset(found)]
        return self.get_paginated_response(shapes.DatasetExportOut(page, many=True).data)

    @extend_schema(request=shapes.DatasetExportIn, responses={201: shapes.DatasetExportOut})
    def post(self, request: Request, version_id: UUID) -> Response:
        given = shapes.DatasetExportIn(data=request.data)
        given.is_valid(raise_exception=True)
        export = exports.start(
            project_id=request.user.project_id,
            version_id=version_id,
            target=given.validated_data["format"],
            now=timezone.now(),
        )
        return Response(shapes.DatasetExportOut(_with_download(export)).data, status=201)


class ExportView(GenericAPIView[Any]):
    """One export; once it is done it has an address to fetch the file from."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetExportOut

    def get(self, request: Request, export_id: UUID) -> Response:
        export = exports.export_of(project_id=request.user.project_id, export_id=export_id)
        return Response(shapes.DatasetExportOut(_with_download(export)).data)


def _with_download(export: Export) -> Export:
    export.download = exports.download(export, now=timezone.now())
    return export
