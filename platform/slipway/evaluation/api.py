"""Evaluation over REST: judge versions side by side, see the scoreboard, the gate and every row."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.evaluation import services
from slipway.evaluation.models import EvaluationRun
from slipway.runs import http
from slipway.runs.record import Phase
from slipway.tenancy.permissions import MayChange
from slipway_contracts.metrics import METRICS

DOWNLOAD_SECONDS = 3600


class RuleIn(serializers.Serializer[Any]):
    """What a candidate must reach: `min`, or `not_worse` than the baseline by this margin."""

    candidate = serializers.UUIDField()
    group = serializers.CharField(max_length=127, default="all")
    metric = serializers.CharField(max_length=63, help_text="one of the evaluation's metrics")
    min = serializers.FloatField(required=False, allow_null=True, default=None)
    not_worse = serializers.FloatField(required=False, allow_null=True, default=None, min_value=0)


class EvalIn(serializers.Serializer[Any]):
    """An evaluation to be made; the first candidate is the baseline."""

    name = serializers.CharField(max_length=127)
    candidates = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, help_text="model versions"
    )
    dataset = serializers.UUIDField(help_text="published dataset version to judge on")
    metrics = serializers.ListField(
        child=serializers.ChoiceField(METRICS), min_length=1, default=["exact_match"]
    )
    max_tokens = serializers.IntegerField(min_value=1, max_value=32_768, default=256)
    gate = RuleIn(many=True, required=False, default=list)
    gpus = serializers.IntegerField(min_value=0, max_value=64, default=0)
    priority = serializers.IntegerField(
        min_value=0, max_value=3, default=0, help_text="higher goes first"
    )


class CellOut(serializers.Serializer[Any]):
    """A score with its 95 % interval and sample size."""

    version_id = serializers.UUIDField()
    name = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class BoardRowOut(serializers.Serializer[Any]):
    group = serializers.CharField()
    metric = serializers.CharField()
    scores = CellOut(many=True)


class PairedOut(serializers.Serializer[Any]):
    """Two candidates on the same rows: difference a − b, its interval, and the paired test."""

    a = serializers.UUIDField()
    b = serializers.UUIDField()
    metric = serializers.CharField()
    group = serializers.CharField()
    difference = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField()


class FindingOut(serializers.Serializer[Any]):
    rule = RuleIn()
    passed = serializers.BooleanField()
    value = serializers.FloatField(allow_null=True)
    baseline = serializers.FloatField(allow_null=True)
    text = serializers.CharField()


class EvalOut(http.RunOut):
    candidates = http.NamedRefOut(many=True)
    dataset = http.NamedRefOut()
    metrics = serializers.ListField(child=serializers.CharField())
    max_tokens = serializers.IntegerField()
    gpus = serializers.IntegerField()
    trained_on_these_rows = serializers.ListField(
        child=serializers.CharField(), help_text="candidates that this very dataset version taught"
    )
    gate = RuleIn(many=True)
    gate_passed = serializers.BooleanField(
        allow_null=True, help_text="null before the end, and where there is no gate"
    )
    gate_findings = FindingOut(many=True)
    scoreboard = BoardRowOut(many=True)
    paired = PairedOut(many=True)
    summary = serializers.DictField(child=serializers.FloatField(allow_null=True))


def eval_out(run: EvaluationRun) -> dict[str, Any]:
    same = [
        "metrics",
        "max_tokens",
        "gpus",
        "gate",
        "gate_passed",
        "gate_findings",
        "paired",
        "summary",
    ]
    fields = http.shown(run) | {name: getattr(run, name) for name in same}
    fields |= {
        "candidates": run.candidates,
        "dataset": {
            "version_id": run.dataset_version_id,
            "name": run.dataset_name,
            "sha256": run.dataset_sha256,
        },
        "scoreboard": services.scoreboard(run),
        # Runs from before this was noted say nothing of it.
        "trained_on_these_rows": [
            each["name"]
            for each in run.candidates
            if each.get("trained_on") == str(run.dataset_version_id)
        ],
    }
    return dict(EvalOut(fields).data)


class EvalsView(GenericAPIView[Any]):
    """The project's evaluations, newest first."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = EvalOut
    waits = True

    @extend_schema(
        parameters=[
            OpenApiParameter("phase", str, enum=Phase.values),
            OpenApiParameter("search", str, description="a part of the name, in any case"),
        ],
        responses=EvalOut(many=True),
    )
    def get(self, request: Request) -> Response:
        phase = request.query_params.get("phase", "")
        found = services.runs(project_id=request.user.project_id, phase=phase)
        if part := request.query_params.get("search"):
            found = found.filter(name__icontains=part)
        page = self.paginate_queryset(found)
        return self.get_paginated_response([eval_out(run) for run in page or []])

    @extend_schema(
        request=EvalIn,
        responses={201: EvalOut},
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
    )
    def post(self, request: Request) -> Response:
        given = EvalIn(data=request.data)
        given.is_valid(raise_exception=True)
        fields = dict(given.validated_data)
        rules = [
            services.Rule(**rule | {"candidate": str(rule["candidate"])})
            for rule in fields.pop("gate")
        ]
        run = services.create_run(
            project_id=request.user.project_id,
            ask=services.Ask(dataset_version_id=fields.pop("dataset"), gate=rules, **fields),
            now=timezone.now(),
            made_by=request.user.user_name,
            idempotency_key=http.idempotency_key(request),
        )
        return Response(eval_out(run), status=201)


class OfOneEval(GenericAPIView[Any]):
    """A route below one evaluation of the caller's project; another project's is a 404."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = EvalOut

    def run(self) -> EvaluationRun:
        return services.run(project_id=self.request.user.project_id, run_id=self.kwargs["run_id"])


class EvalView(OfOneEval):
    @extend_schema(responses=EvalOut)
    def get(self, request: Request, run_id: UUID) -> Response:
        return Response(eval_out(self.run()))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, run_id: UUID) -> Response:
        """Deletes the scores and the per-row results too."""
        services.delete(self.run(), now=timezone.now(), by=request.user.user_name)
        return Response(status=204)


class CancelView(OfOneEval):
    @extend_schema(request=None, responses=EvalOut)
    def post(self, request: Request, run_id: UUID) -> Response:
        run = self.run()
        services.cancel(run, now=timezone.now(), by=request.user.user_name)
        return Response(eval_out(run))


class ResumeView(OfOneEval):
    """Queues one that was paused for its budget again, if there is room now."""

    @extend_schema(request=None, responses=EvalOut)
    def post(self, request: Request, run_id: UUID) -> Response:
        run = self.run()
        services.resume(run, now=timezone.now(), by=request.user.user_name)
        return Response(eval_out(run))


class RetryView(OfOneEval):
    @extend_schema(request=None, responses=EvalOut)
    def post(self, request: Request, run_id: UUID) -> Response:
        run = self.run()
        services.retry(run, now=timezone.now(), by=request.user.user_name)
        return Response(eval_out(run))


class EventsView(OfOneEval):
    """Moves, stages and warnings of the evaluation, newest first."""

    serializer_class = http.EventOut

    @extend_schema(responses=http.EventOut(many=True))
    def get(self, request: Request, run_id: UUID) -> Response:
        page = self.paginate_queryset(http.events(self.run()))
        return self.get_paginated_response(http.EventOut(page or [], many=True).data)


class LogsView(OfOneEval):
    """Log lines, oldest first; to follow, ask again with `next_cursor` while `live` is true."""

    @extend_schema(
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=http.LogsOut,
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        return Response(http.LogsOut(http.logs(self.run(), request)).data)


class RowsOut(serializers.Serializer[Any]):
    data = serializers.ListField(
        child=serializers.DictField(),
        help_text="index, group, prompt, reference, and each candidate's answer and scores",
    )
    next_cursor = serializers.CharField(allow_null=True)


class RowsView(OfOneEval):
    """Every judged row, in the order of the dataset."""

    @extend_schema(
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=RowsOut,
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        page = services.row_page(
            self.run(),
            offset=http.whole(request, "cursor", default=0, most=2**53) or 0,
            limit=http.whole(request, "limit", default=100, least=1, most=1000) or 100,
        )
        cursor = None if page.next_offset is None else str(page.next_offset)
        return Response({"data": page.rows, "next_cursor": cursor})


class DownloadOut(serializers.Serializer[Any]):
    url = serializers.CharField()
    expires_in_seconds = serializers.IntegerField()


class DownloadView(OfOneEval):
    """A signed address of all rows as JSON Lines."""

    @extend_schema(responses=DownloadOut)
    def get(self, request: Request, run_id: UUID) -> Response:
        url = services.download_address(self.run(), seconds=DOWNLOAD_SECONDS)
        return Response({"url": url, "expires_in_seconds": DOWNLOAD_SECONDS})


class RatingIn(serializers.Serializer[Any]):
    line = serializers.IntegerField(min_value=0, help_text="of the row, as the results name it")
    version_id = serializers.UUIDField(help_text="whose answer it is")
    scores = serializers.DictField(
        child=serializers.IntegerField(),
        help_text=f"{', '.join(services.DIMENSIONS)}: 1 to 5; none takes the rating back",
    )


class RatedCellOut(serializers.Serializer[Any]):
    """The mean over rated rows with its 95 % interval, and the share of good ones (4 or more)."""

    version_id = serializers.UUIDField()
    name = serializers.CharField()
    dimension = serializers.CharField()
    mean = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    good = serializers.FloatField()
    n = serializers.IntegerField(help_text="rows")
    people = serializers.IntegerField()


class RatingsOut(serializers.Serializer[Any]):
    dimensions = serializers.ListField(child=serializers.CharField())
    board = RatedCellOut(many=True)
    mine = RatingIn(many=True, help_text="what the one who asks gave")


class RatingsView(OfOneEval):
    """What people think of the answers: PUT rates one, GET sums all up."""

    serializer_class = RatingsOut

    @extend_schema(operation_id="evals_ratings", responses=RatingsOut)
    def get(self, request: Request, run_id: UUID) -> Response:
        run = self.run()
        given = services.given_by(run=run, user_name=request.user.user_name)
        mine = [
            {"line": line, "version_id": version_id, "scores": scores}
            for (line, version_id), scores in given.items()
        ]
        body = {"dimensions": services.DIMENSIONS, "board": services.board(run), "mine": mine}
        return Response(RatingsOut(body).data)

    @extend_schema(operation_id="evals_rate", request=RatingIn, responses=RatingsOut)
    def put(self, request: Request, run_id: UUID) -> Response:
        given = RatingIn(data=request.data)
        given.is_valid(raise_exception=True)
        services.rate(run=self.run(), user_name=request.user.user_name, **given.validated_data)
        return self.get(request, run_id)


urlpatterns = [
    path("evals", EvalsView.as_view()),
    path("evals/<uuid:run_id>", EvalView.as_view()),
    path("evals/<uuid:run_id>/cancel", CancelView.as_view()),
    path("evals/<uuid:run_id>/resume", ResumeView.as_view()),
    path("evals/<uuid:run_id>/retry", RetryView.as_view()),
    path("evals/<uuid:run_id>/events", EventsView.as_view()),
    path("evals/<uuid:run_id>/logs", LogsView.as_view()),
    path("evals/<uuid:run_id>/rows", RowsView.as_view()),
    path("evals/<uuid:run_id>/ratings", RatingsView.as_view()),
    path("evals/<uuid:run_id>/download", DownloadView.as_view()),
]
