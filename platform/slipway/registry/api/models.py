"""Models and versions over REST: import, look, name, delete."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core import lifecycle
from slipway.core.editing import Guarded
from slipway.core.errors import Detail, Invalid, NotFound
from slipway.core.http import Given, Named
from slipway.core.models import Event
from slipway.registry import services
from slipway.registry.api import shapes
from slipway.registry.models import Model, ModelVersion, VersionPhase
from slipway.registry.services import exports, facts
from slipway.tenancy.permissions import MayChange
from slipway.tenancy.services import Level


class View(Given, GenericAPIView[Any]):
    permission_classes: ClassVar = [MayChange]
    serializer_class: Any = shapes.ModelVersionOut

    @property
    def project_id(self) -> UUID:
        return UUID(str(self.request.user.project_id))

    def version(self, version_id: UUID) -> ModelVersion:
        return facts.version_row(project_id=self.project_id, version_id=version_id)

    def model(self, model_id: UUID) -> Model:
        found = Model.objects.filter(pk=model_id, project_id=self.project_id).first()
        if found is None:
            raise NotFound("There is no such model in this project.")
        return found

    def versions(self) -> Any:
        rows = ModelVersion.objects.filter(project_id=self.project_id)
        return (
            rows.exclude(phase=VersionPhase.DELETED)
            .select_related("model")
            .prefetch_related("aliases")
        )


class ModelsView(View):
    serializer_class = shapes.ModelOut
    pagination_class = Named

    @extend_schema(
        parameters=[
            OpenApiParameter("name", str, description="the whole name"),
            OpenApiParameter("search", str, description="a part of the name, in any case"),
        ],
        operation_id="models_list",
        responses=shapes.ModelOut(many=True),
    )
    def get(self, request: Request) -> Response:
        rows = Model.objects.filter(project_id=self.project_id).prefetch_related(
            "versions__aliases", "versions__model", "aliases__version"
        )
        if name := request.query_params.get("name"):
            rows = rows.filter(name=name)
        if part := request.query_params.get("search"):
            rows = rows.filter(name__icontains=part)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(shapes.ModelOut(page, many=True).data)


class ModelView(View, Guarded):
    guarded = ("aliases",)
    serializer_class = shapes.ModelOut

    def get(self, request: Request, model_id: UUID) -> Response:
        return Response(shapes.ModelOut(self.model(model_id)).data)


class ModelVersionsView(View):
    @extend_schema(operation_id="models_versions_list", responses=shapes.ModelVersionOut(many=True))
    def get(self, request: Request, model_id: UUID) -> Response:
        rows = self.versions().filter(model=self.model(model_id))
        page = self.paginate_queryset(rows.exclude(phase=VersionPhase.BINNED))
        return self.get_paginated_response(shapes.ModelVersionOut(page, many=True).data)


class ImportView(View):
    """Bring a model or adapter in; the answer is its version, which is ready once checked."""

    @extend_schema(request=shapes.ModelImportIn, responses={202: shapes.ModelVersionOut})
    def post(self, request: Request) -> Response:
        given = self.given(shapes.ModelImportIn)
        common = {
            "project_id": self.project_id,
            "name": given["name"],
            "base": given["base"],
            "made_by": request.user.user_name,
        }
        if "path" in given:
            fact = services.import_directory(path=given["path"], **common)
        elif "upload" in given:
            fact = services.import_upload(upload_id=given["upload"], **common)
        else:
            fact = services.import_uri(uri=given["uri"], **common)
        return Response(shapes.ModelVersionOut(self.version(fact.id)).data, status=202)


class AliasView(View, Guarded):
    """A movable name, such as `production`, for a version of the model."""

    guarded = ("aliases",)

    def now(self, request: Request, **kwargs: Any) -> Any:
        return shapes.ModelOut(self.model(kwargs["model_id"])).data

    @extend_schema(request=shapes.ModelAliasIn, responses=shapes.ModelOut)
    def put(self, request: Request, model_id: UUID, alias: str) -> Response:
        model = self.model(model_id)
        services.set_alias(
            project_id=self.project_id,
            model_id=model.pk,
            alias=alias,
            **self.given(shapes.ModelAliasIn),
        )
        return Response(shapes.ModelOut(self.model(model_id)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, model_id: UUID, alias: str) -> Response:
        services.drop_alias(model_id=self.model(model_id).pk, alias=alias)
        return Response(status=204)


class VersionsView(View):
    """Versions of all models; `?reference=name@number` finds one, `?phase=` filters."""

    @extend_schema(
        parameters=[OpenApiParameter("reference", str), OpenApiParameter("phase", str)],
        operation_id="model_versions_list",
        responses=shapes.ModelVersionOut(many=True),
    )
    def get(self, request: Request) -> Response:
        rows = self.versions()
        if request.query_params.get("phase") != VersionPhase.BINNED:
            rows = rows.exclude(phase=VersionPhase.BINNED)
        if reference := request.query_params.get("reference"):
            fact = services.resolve(project_id=self.project_id, reference=reference)
            rows = rows.filter(pk=fact.id)
        if phase := request.query_params.get("phase"):
            if phase not in VersionPhase.values:
                rule = f"one of {', '.join(VersionPhase.values)}"
                detail = Detail(field="phase", rule=rule, value=phase)
                raise Invalid("There is no such phase.", detail)
            rows = rows.filter(phase=phase)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(shapes.ModelVersionOut(page, many=True).data)


class VersionView(View):
    serializer_class = shapes.ModelVersionDetailOut

    def get(self, request: Request, version_id: UUID) -> Response:
        return Response(shapes.ModelVersionDetailOut(self.version(version_id)).data)

    @extend_schema(
        parameters=[OpenApiParameter("bin", bool, description="so that it can be restored")],
        responses={202: shapes.ModelVersionDetailOut},
    )
    def delete(self, request: Request, version_id: UUID) -> Response:
        """For good; with `bin`, into the bin, where it lies for SLIPWAY_BIN_DAYS."""
        into_bin = request.query_params.get("bin", "").lower() == "true"
        remove = services.bin_version if into_bin else services.delete_version
        remove(
            project_id=self.project_id, version_id=version_id, now=timezone.now(),
            by=request.user.user_name,
        )  # fmt: skip
        return Response(shapes.ModelVersionDetailOut(self.version(version_id)).data, status=202)


class RestoreView(View):
    """Bring a version back from the bin."""

    levels: ClassVar = {"POST": Level.FULL}
    serializer_class = shapes.ModelVersionDetailOut

    @extend_schema(
        operation_id="model_versions_restore",
        request=None,
        responses=shapes.ModelVersionDetailOut,
    )
    def post(self, request: Request, version_id: UUID) -> Response:
        services.restore_version(
            project_id=self.project_id, version_id=version_id, now=timezone.now(),
            by=request.user.user_name,
        )  # fmt: skip
        return Response(shapes.ModelVersionDetailOut(self.version(version_id)).data)


class LineageView(View):
    """Where the version comes from: base, job, dataset version, tracker's run, recipe."""

    @extend_schema(responses={(200, "application/json"): dict})
    def get(self, request: Request, version_id: UUID) -> Response:
        return Response(exports.lineage(self.version(version_id)))


class VersionEventsView(View):
    serializer_class = shapes.ModelEventOut

    @extend_schema(
        operation_id="model_versions_events_list", responses=shapes.ModelEventOut(many=True)
    )
    def get(self, request: Request, version_id: UUID) -> Response:
        subject = lifecycle.subject_of(self.version(version_id))
        page = self.paginate_queryset(Event.objects.filter(subject=subject))
        return self.get_paginated_response(shapes.ModelEventOut(page, many=True).data)
