"""Datasets, and the formats and limits that hold for all of them."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.editing import Guarded
from slipway.core.http import Named
from slipway.datasets import services
from slipway.datasets.api import shapes
from slipway.datasets.models import Dataset
from slipway.datasets.services.facts import dataset_of
from slipway.tenancy.permissions import MayChange
from slipway.tenancy.services import Level
from slipway_contracts.formats import CATALOGUE, LIMITS, RULES


class FormatsView(GenericAPIView[Any]):
    """Formats with an example each, limits, and the rules that a check goes by."""

    serializer_class = shapes.DatasetFormatsOut
    pagination_class = None

    def get(self, request: Request) -> Response:
        body = {
            "formats": [dataclasses.asdict(info) for info in CATALOGUE],
            "compressions": ["gzip", "zip"],
            "limits": dataclasses.asdict(LIMITS),
            "rules": RULES,
        }
        return Response(shapes.DatasetFormatsOut(body).data)


class DatasetsView(GenericAPIView[Any]):
    """Datasets of this project."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetOut
    pagination_class = Named

    def get_queryset(self) -> Any:
        return Dataset.objects.filter(project_id=self.request.user.project_id)

    @extend_schema(
        parameters=[
            OpenApiParameter("name", str, description="the whole name"),
            OpenApiParameter("search", str, description="a part of the name, in any case"),
            OpenApiParameter("deleted", bool, description="what lies in the bin, instead"),
        ],
        responses=shapes.DatasetOut(many=True),
    )
    def get(self, request: Request) -> Response:
        binned = request.query_params.get("deleted", "").lower() == "true"
        found = self.get_queryset().filter(deleted_at__isnull=not binned)
        if name := request.query_params.get("name"):
            found = found.filter(name=name)
        if part := request.query_params.get("search"):
            found = found.filter(name__icontains=part)
        page = self.paginate_queryset(found)
        return self.get_paginated_response(shapes.datasets(page))

    @extend_schema(request=shapes.DatasetIn, responses={201: shapes.DatasetOut})
    def post(self, request: Request) -> Response:
        given = shapes.DatasetIn(data=request.data)
        given.is_valid(raise_exception=True)
        dataset = services.create_dataset(
            project_id=request.user.project_id,
            made_by=request.user.user_name,
            **given.validated_data,
        )
        return Response(shapes.dataset(dataset), status=201)


class DatasetView(Guarded):
    guarded = ("description",)
    permission_classes: ClassVar = [MayChange]
    serializer_class = shapes.DatasetOut

    def get(self, request: Request, dataset_id: UUID) -> Response:
        dataset = dataset_of(project_id=request.user.project_id, dataset_id=dataset_id)
        return Response(shapes.dataset(dataset))

    @extend_schema(request=shapes.DatasetEditIn, responses=shapes.DatasetOut)
    def patch(self, request: Request, dataset_id: UUID) -> Response:
        """Another description; the name stays, for others call the dataset by it."""
        given = shapes.DatasetEditIn(data=request.data)
        given.is_valid(raise_exception=True)
        dataset = services.describe_dataset(
            project_id=request.user.project_id, dataset_id=dataset_id, **given.validated_data
        )
        return Response(shapes.dataset(dataset))

    @extend_schema(
        parameters=[OpenApiParameter("bin", bool, description="so that it can be restored")],
        responses={204: None},
    )
    def delete(self, request: Request, dataset_id: UUID) -> Response:
        """For good; with `bin`, into the bin, where it lies for SLIPWAY_BIN_DAYS."""
        which = {"project_id": request.user.project_id, "dataset_id": dataset_id}
        if request.query_params.get("bin", "").lower() == "true":
            services.bin_dataset(**which, now=timezone.now())
        else:
            services.delete_dataset(**which)
        return Response(status=204)


class DatasetRestoreView(GenericAPIView[Any]):
    """Bring a dataset back from the bin, with all its versions."""

    permission_classes: ClassVar = [MayChange]
    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = shapes.DatasetOut

    @extend_schema(operation_id="datasets_restore", request=None, responses=shapes.DatasetOut)
    def post(self, request: Request, dataset_id: UUID) -> Response:
        dataset = services.restore_dataset(
            project_id=request.user.project_id, dataset_id=dataset_id
        )
        return Response(shapes.dataset(dataset))
