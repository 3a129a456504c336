"""REST for deployments: what is up, and the verbs of its life."""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway import backends
from slipway.backends.compute import ComputeUnavailable
from slipway.core import lifecycle
from slipway.core.editing import Guarded
from slipway.core.errors import Detail, Invalid, Unavailable
from slipway.core.http import Given, Named
from slipway.core.models import Event
from slipway.deployments import services
from slipway.deployments.models import Deployment, Phase, Revision, RevisionPhase
from slipway.tenancy.permissions import MayChange


class DeploymentIn(serializers.Serializer[Any]):
    model = serializers.CharField(
        max_length=128, help_text="id of a model version, name, name@number or name@alias"
    )
    name = serializers.CharField(
        max_length=63, required=False, default="", allow_blank=True,
        help_text="what clients pass as `model`; the model's name if left out",
    )  # fmt: skip
    replicas = serializers.IntegerField(required=False, default=1)
    engine = serializers.CharField(max_length=16, required=False, default="auto")
    drain_seconds = serializers.IntegerField(
        required=False, default=60, min_value=0, max_value=86_400
    )


class DeploymentChange(serializers.Serializer[Any]):
    at_once = serializers.IntegerField(
        required=False, min_value=1, max_value=100_000,
        help_text="requests that one gateway sends it at a time",
    )  # fmt: skip
    queue = serializers.IntegerField(
        required=False, min_value=0, max_value=100_000,
        help_text="how many more may wait for their turn",
    )  # fmt: skip
    sleep_after_seconds = serializers.IntegerField(
        required=False, allow_null=True, min_value=services.LEAST_SLEEP_SECONDS,
        max_value=services.MOST_SLEEP_SECONDS,
        help_text="unasked for so long it is taken down until the next request; null for never",
    )  # fmt: skip


class ScaleIn(serializers.Serializer[Any]):
    replicas = serializers.IntegerField()


class SwapIn(serializers.Serializer[Any]):
    model = serializers.CharField(max_length=128)


class RevisionOut(serializers.ModelSerializer[Revision]):
    model = serializers.CharField(source="reference", help_text="name@number")
    phase = serializers.ChoiceField(RevisionPhase.choices)

    class Meta:
        model = Revision
        fields = [
            "id",
            "number",
            "model",
            "version_id",
            "parent",
            "replicas",
            "phase",
            "reason",
            "context_length",
            "capabilities",
            "crashes",
            "created_at",
            "served_at",
            "remove_at",
            "removed_at",
        ]


class DeploymentOut(serializers.ModelSerializer[Deployment]):
    phase = serializers.ChoiceField(Phase.choices)
    serving = serializers.SerializerMethodField(help_text="the revision that answers, if any")
    coming = serializers.SerializerMethodField(help_text="the revision on its way, if any")
    endpoints = serializers.SerializerMethodField(help_text="how many replicas answer now")

    class Meta:
        model = Deployment
        fields = [
            "id",
            "name",
            "phase",
            "reason",
            "version_id",
            "replicas",
            "engine",
            "drain_seconds",
            "at_once",
            "queue",
            "sleep_after_seconds",
            "made_by",
            "created_at",
            "down_at",
            "serving",
            "coming",
            "endpoints",
        ]

    @extend_schema_field(RevisionOut(allow_null=True))
    def get_serving(self, row: Deployment) -> Any:
        return self._revision(row, RevisionPhase.SERVING)

    @extend_schema_field(RevisionOut(allow_null=True))
    def get_coming(self, row: Deployment) -> Any:
        return self._revision(row, RevisionPhase.COMING)

    def get_endpoints(self, row: Deployment) -> int:
        return sum(len(revision.endpoints) for revision in row.revisions.all()
                   if revision.phase == RevisionPhase.SERVING)  # fmt: skip

    @staticmethod
    def _revision(row: Deployment, phase: str) -> Any:
        found = [revision for revision in row.revisions.all() if revision.phase == phase]
        return RevisionOut(found[0]).data if found else None


class DeploymentEventOut(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ["id", "at", "level", "kind", "source", "target", "reason", "data"]


class DeploymentLineOut(serializers.Serializer[Any]):
    text = serializers.CharField()


class DeploymentLogsOut(serializers.Serializer[Any]):
    data = DeploymentLineOut(many=True)
    next_cursor = serializers.CharField(
        help_text="read on from here; to follow, ask again with it while `live` is true"
    )
    more = serializers.BooleanField(help_text="whether more lines may be there already")
    live = serializers.BooleanField(help_text="whether more lines may still be written")
    revision = serializers.IntegerField()


class _View(Given, GenericAPIView[Any]):
    permission_classes: ClassVar = [MayChange]
    serializer_class: Any = DeploymentOut

    def get_queryset(self) -> Any:
        rows = Deployment.objects.filter(project_id=self.request.user.project_id)
        return rows.exclude(phase=Phase.DELETED).prefetch_related("revisions")

    def row(self, deployment_id: UUID) -> Deployment:
        return services.deployment_row(
            project_id=self.request.user.project_id, deployment_id=deployment_id
        )

    def shown(self, row: Deployment, *, status: int = 200) -> Response:
        return Response(DeploymentOut(self.get_queryset().get(pk=row.pk)).data, status=status)


class DeploymentsView(_View):
    """Deployments of this project; `?name=` finds one by name."""

    pagination_class = Named

    @extend_schema(
        parameters=[
            OpenApiParameter("name", str),
            OpenApiParameter("search", str, description="a part of the name, in any case"),
        ],
        operation_id="deployments_list",
        responses=DeploymentOut(many=True),
    )
    def get(self, request: Request) -> Response:
        rows = self.get_queryset()
        if name := request.query_params.get("name"):
            rows = rows.filter(name=name)
        if part := request.query_params.get("search"):
            rows = rows.filter(name__icontains=part)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(DeploymentOut(page, many=True).data)

    @extend_schema(request=DeploymentIn, responses={201: DeploymentOut})
    def post(self, request: Request) -> Response:
        user = request.user
        row = services.create(
            project_id=user.project_id, made_by=user.user_name, now=timezone.now(),
            **self.given(DeploymentIn),
        )  # fmt: skip
        return self.shown(row, status=201)


class DeploymentView(Guarded, _View):
    guarded: ClassVar = ("at_once", "queue", "sleep_after_seconds")

    def get(self, request: Request, deployment_id: UUID) -> Response:
        return self.shown(self.row(deployment_id))

    @extend_schema(request=DeploymentChange, responses=DeploymentOut)
    def patch(self, request: Request, deployment_id: UUID) -> Response:
        row = self.row(deployment_id)
        services.change(row, now=timezone.now(), **self.given(DeploymentChange))
        return self.shown(row)

    @extend_schema(responses={202: DeploymentOut})
    def delete(self, request: Request, deployment_id: UUID) -> Response:
        row = self.row(deployment_id)
        services.delete(row, now=timezone.now(), by=request.user.user_name)
        return self.shown(row, status=202)


class _Verb(_View):
    verb: ClassVar[Any]
    body: ClassVar[type[serializers.Serializer[Any]] | None] = None

    def act(self, request: Request, deployment_id: UUID) -> Response:
        row = self.row(deployment_id)
        given = self.given(self.body) if self.body else {}
        type(self).verb(row, now=timezone.now(), by=request.user.user_name, **given)
        return self.shown(row, status=202)


class StopView(_Verb):
    verb = staticmethod(services.stop)

    @extend_schema(request=None, responses={202: DeploymentOut})
    def post(self, request: Request, deployment_id: UUID) -> Response:
        return self.act(request, deployment_id)


class StartView(_Verb):
    verb = staticmethod(services.start)

    @extend_schema(request=None, responses={202: DeploymentOut})
    def post(self, request: Request, deployment_id: UUID) -> Response:
        return self.act(request, deployment_id)


class RollBackView(_Verb):
    """Give up an update under way, or go back to the version before."""

    verb = staticmethod(services.roll_back)

    @extend_schema(request=None, responses={202: DeploymentOut})
    def post(self, request: Request, deployment_id: UUID) -> Response:
        return self.act(request, deployment_id)


class ScaleView(_Verb):
    verb = staticmethod(services.scale)
    body = ScaleIn

    @extend_schema(request=ScaleIn, responses={202: DeploymentOut})
    def post(self, request: Request, deployment_id: UUID) -> Response:
        return self.act(request, deployment_id)


class SwapView(_Verb):
    """Serve another version; the old one answers until the new one is ready."""

    verb = staticmethod(services.swap)
    body = SwapIn

    @extend_schema(request=SwapIn, responses={202: DeploymentOut})
    def post(self, request: Request, deployment_id: UUID) -> Response:
        return self.act(request, deployment_id)


class RevisionsView(_View):
    serializer_class = RevisionOut

    @extend_schema(operation_id="deployments_revisions_list", responses=RevisionOut(many=True))
    def get(self, request: Request, deployment_id: UUID) -> Response:
        page = self.paginate_queryset(self.row(deployment_id).revisions.all())
        return self.get_paginated_response(RevisionOut(page, many=True).data)


class EventsView(_View):
    """What happened to it, newest first."""

    serializer_class = DeploymentEventOut

    @extend_schema(operation_id="deployments_events_list", responses=DeploymentEventOut(many=True))
    def get(self, request: Request, deployment_id: UUID) -> Response:
        subject = lifecycle.subject_of(self.row(deployment_id))
        page = self.paginate_queryset(Event.objects.filter(subject=subject))
        return self.get_paginated_response(DeploymentEventOut(page, many=True).data)


class LogsView(_View):
    """What a revision's replicas printed, from line `cursor`; the newest unless one is named."""

    most_lines = 1000

    @extend_schema(
        parameters=[OpenApiParameter("cursor", int), OpenApiParameter("revision", int)],
        responses=DeploymentLogsOut,
    )
    def get(self, request: Request, deployment_id: UUID) -> Response:
        offset = _whole(request, "cursor") or 0
        row = self.row(deployment_id)
        revisions = row.revisions.order_by("-number")
        if (number := _whole(request, "revision")) is not None:
            revisions = revisions.filter(number=number)
        revision = revisions.first()
        if revision is None:
            detail = Detail(field="revision", rule="number of a revision", value=number)
            raise Invalid("It has no such revision.", detail)
        try:
            lines = backends.compute().logs(revision.workload_name)
            page = list(islice(lines, offset, offset + self.most_lines))
        except ComputeUnavailable as error:
            raise Unavailable(f"The cluster does not answer: {error}") from error
        return Response(
            {
                "data": [{"text": line} for line in page],
                "next_cursor": str(offset + len(page)),
                "more": len(page) == self.most_lines,
                "live": revision.removed_at is None,
                "revision": revision.number,
            }
        )


def _whole(request: Request, name: str) -> int | None:
    raw = request.query_params.get(name)
    if raw is None:
        return None
    if not raw.isdecimal() or len(raw) > 9:
        raise Invalid(
            f"{name} must be a whole number.", Detail(field=name, rule="0…999999999", value=raw)
        )
    return int(raw)


_ONE = "deployments/<uuid:deployment_id>"
urlpatterns = [
    path("deployments", DeploymentsView.as_view()),
    path(_ONE, DeploymentView.as_view()),
    path(f"{_ONE}/stop", StopView.as_view()),
    path(f"{_ONE}/start", StartView.as_view()),
    path(f"{_ONE}/scale", ScaleView.as_view()),
    path(f"{_ONE}/swap", SwapView.as_view()),
    path(f"{_ONE}/rollback", RollBackView.as_view()),
    path(f"{_ONE}/revisions", RevisionsView.as_view()),
    path(f"{_ONE}/events", EventsView.as_view()),
    path(f"{_ONE}/logs", LogsView.as_view()),
]
