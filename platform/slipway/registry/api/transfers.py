"""Bytes over REST, by signed address: archives on their way in, exports on their way out."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.registry.api import shapes
from slipway.registry.api.models import View
from slipway.registry.models import Upload
from slipway.registry.services import exports, uploads


class ExportsView(View):
    serializer_class = shapes.ModelExportOut

    @extend_schema(
        operation_id="model_versions_exports_list", responses=shapes.ModelExportOut(many=True)
    )
    def get(self, request: Request, version_id: UUID) -> Response:
        page = self.paginate_queryset(self.version(version_id).exports.all())
        return self.get_paginated_response(shapes.ModelExportOut(page, many=True).data)

    @extend_schema(request=shapes.ModelExportIn, responses={202: shapes.ModelExportOut})
    def post(self, request: Request, version_id: UUID) -> Response:
        given = self.given(shapes.ModelExportIn)
        export = exports.ask(project_id=self.project_id, version_id=version_id, **given)
        return Response(shapes.ModelExportOut(export).data, status=202)


class ExportView(View):
    serializer_class = shapes.ModelExportOut

    def get(self, request: Request, export_id: UUID) -> Response:
        return Response(shapes.ModelExportOut(exports.export_row(
            project_id=self.project_id, export_id=export_id)).data)  # fmt: skip


class UploadsView(View):
    """Begin to send an archive (tar, tar.gz or zip) in parts of `part_bytes`."""

    serializer_class = shapes.ModelUploadOut
    waits = True

    @extend_schema(request=shapes.ModelUploadIn, responses={201: shapes.ModelUploadOut})
    def post(self, request: Request) -> Response:
        upload = uploads.begin(project_id=self.project_id, **self.given(shapes.ModelUploadIn))
        return Response(shapes.ModelUploadOut(upload).data, status=201)


class UploadView(View):
    serializer_class = shapes.ModelUploadOut

    def get(self, request: Request, upload_id: UUID) -> Response:
        return Response(shapes.ModelUploadOut(self._row(upload_id)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, upload_id: UUID) -> Response:
        uploads.abort(self._row(upload_id))
        return Response(status=204)

    def _row(self, upload_id: UUID) -> Upload:
        return uploads.upload_row(project_id=self.project_id, upload_id=upload_id)


class UploadPartView(UploadView):
    @extend_schema(responses=shapes.ModelUploadAddressOut)
    def get(self, request: Request, upload_id: UUID, number: int) -> Response:  # type: ignore[override]
        address = uploads.part_address(self._row(upload_id), number)
        return Response({"address": address})

    http_method_names: ClassVar = ["get", "head", "options"]


class UploadFinishView(UploadView):
    waits = True
    http_method_names: ClassVar = ["post", "options"]

    @extend_schema(request=None, responses=shapes.ModelUploadOut)
    def post(self, request: Request, upload_id: UUID) -> Response:
        upload = self._row(upload_id)
        uploads.finish(upload, now=timezone.now())
        return Response(shapes.ModelUploadOut(upload).data)
