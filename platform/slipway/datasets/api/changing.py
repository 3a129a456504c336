"""Edit rows, look at a line as it came, and see what differs between two versions."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.datasets.api import shapes
from slipway.datasets.services import diff, edits
from slipway.tenancy.permissions import MayChange


class EditsView(GenericAPIView[Any]):
    """The next version of the dataset: this one with some rows replaced, removed or added."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetEditsIn
    waits = True

    @extend_schema(request=shapes.DatasetEditsIn, responses={201: shapes.DatasetVersionOut})
    def post(self, request: Request, version_id: UUID) -> Response:
        given = shapes.DatasetEditsIn(data=request.data)
        given.is_valid(raise_exception=True)
        version = edits.start(
            project_id=request.user.project_id,
            version_id=version_id,
            edits=[edits.Edit(**each) for each in given.validated_data["edits"]],
            now=timezone.now(),
            made_by=request.user.user_name,
        )
        return Response(shapes.DatasetVersionOut(version).data, status=201)


class LineView(GenericAPIView[Any]):
    """One line of the file as it came, for mending it."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetLineOut

    def get(self, request: Request, version_id: UUID, number: int) -> Response:
        text = edits.source_line(
            project_id=request.user.project_id, version_id=version_id, line=number
        )
        return Response(shapes.DatasetLineOut({"line": number, "text": text}).data)


class DiffView(GenericAPIView[Any]):
    """How this version differs from another, older one."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetDiffOut
    pagination_class = None

    def get(self, request: Request, version_id: UUID, other_version_id: UUID) -> Response:
        found = diff.compare(
            project_id=request.user.project_id, version_id=version_id, other_id=other_version_id
        )
        return Response(shapes.DatasetDiffOut(found).data)
