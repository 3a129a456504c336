"""What may be set, what a job would need, and the jobs of a project."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.errors import Detail, Invalid
from slipway.runs import http
from slipway.runs.record import Phase
from slipway.tenancy.permissions import MayChange
from slipway.tenancy.services import Level
from slipway.training import services
from slipway.training.api.shapes import (
    UNSHOWN,
    JobIn,
    JobOut,
    MeasuredRowsOut,
    MethodsOut,
    PlanOut,
    TokenLengthsOut,
    job_out,
    jobs_out,
)
from slipway_contracts import hyperparameters

KEY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Asking again with the same key returns the job that the first request made.",
)


def _ask(request: Request) -> services.Ask:
    given = JobIn(data=request.data)
    given.is_valid(raise_exception=True)
    fields = dict(given.validated_data)
    return services.Ask(
        base_version_id=fields.pop("base"),
        dataset_version_id=fields.pop("dataset"),
        held_out_version_id=fields.pop("held_out"),
        result_name=fields.pop("model"),
        **fields,
    )


class MethodsView(GenericAPIView[Any]):
    """What may be set, per method and scale; bounded by a model where `base` names one."""

    serializer_class = MethodsOut
    pagination_class = None

    @extend_schema(parameters=[OpenApiParameter("base", OpenApiTypes.UUID)], responses=MethodsOut)
    def get(self, request: Request) -> Response:
        base = _uuid(request, "base")
        found = [
            {
                "method": method,
                "scale": scale,
                "hyperparameters": [
                    dataclasses.asdict(parameter)
                    for parameter in services.schema(
                        project_id=request.user.project_id,
                        method=method,
                        scale=scale,
                        base_version_id=base,
                    )
                ],
            }
            for method in hyperparameters.METHODS
            for scale in hyperparameters.SCALES
        ]
        return Response(MethodsOut({"data": found}).data)


class TokenLengthsView(GenericAPIView[Any]):
    """How long the rows of a published dataset version are, in tokens of a model."""

    serializer_class = TokenLengthsOut
    pagination_class = None

    @extend_schema(
        operation_id="training_token_lengths",
        parameters=[
            OpenApiParameter("base", OpenApiTypes.UUID, required=True),
            OpenApiParameter("dataset", OpenApiTypes.UUID, required=True),
        ],
        responses=TokenLengthsOut,
    )
    def get(self, request: Request) -> Response:
        base, dataset = _measured(request)
        found = services.lengths(
            project_id=request.user.project_id, base_version_id=base, dataset_version_id=dataset
        )
        body = {
            "tokens": found.tokens,
            "exact": found.exact,
            "bars": [dict(zip(("low", "high", "rows"), bar, strict=True)) for bar in found.bars],
            "longest": found.longest_rows[:10],
        }
        return Response(TokenLengthsOut(body).data)


class MeasuredRowsView(GenericAPIView[Any]):
    """The rows behind a bar of token lengths; the cursor is the place among them."""

    serializer_class = MeasuredRowsOut
    pagination_class = None

    @extend_schema(
        operation_id="training_token_lengths_rows",
        parameters=[
            OpenApiParameter("base", OpenApiTypes.UUID, required=True),
            OpenApiParameter("dataset", OpenApiTypes.UUID, required=True),
            OpenApiParameter("at_least", int, description="so many tokens, or more"),
            OpenApiParameter("at_most", int, description="so many tokens, or fewer"),
            OpenApiParameter("limit", int, description="1 to 100"),
            OpenApiParameter("cursor", str, description="next_cursor of the page before"),
        ],
        responses=MeasuredRowsOut,
    )
    def get(self, request: Request) -> Response:
        base, dataset = _measured(request)
        offset = http.whole(request, "cursor", default=0) or 0
        found, there = services.rows_between(
            project_id=request.user.project_id,
            base_version_id=base,
            dataset_version_id=dataset,
            low=http.whole(request, "at_least", default=0) or 0,
            high=http.whole(request, "at_most", default=None),
            offset=offset,
            limit=http.whole(request, "limit", default=50, least=1, most=100) or 50,
        )
        behind = offset + len(found)
        body = {
            "data": [dataclasses.asdict(each) for each in found],
            "next_cursor": str(behind) if found and behind < there else None,
            "rows": there,
        }
        return Response(MeasuredRowsOut(body).data)


def _measured(request: Request) -> tuple[UUID, UUID]:
    base, dataset = _uuid(request, "base"), _uuid(request, "dataset")
    if base is None or dataset is None:
        fix = Detail(field="base", rule="ids of a model version and a dataset version")
        raise Invalid("Say which base and which dataset.", fix)
    return base, dataset


def _uuid(request: Request, name: str) -> UUID | None:
    raw = request.query_params.get(name)
    try:
        return UUID(raw) if raw else None
    except ValueError as error:
        raise Invalid(
            f"{name} is not a UUID.", Detail(field=name, rule="a UUID", value=raw)
        ) from error


class EstimateView(GenericAPIView[Any]):
    """Dry run: every check that creating makes, and what the job would need; creates nothing."""

    serializer_class = JobIn
    levels: ClassVar = {"POST": Level.READ}

    @extend_schema(request=JobIn, responses=PlanOut)
    def post(self, request: Request) -> Response:
        plan = services.plan(
            project_id=request.user.project_id, ask=_ask(request), now=timezone.now()
        )
        shown = {
            "hyperparameters": plan.resolved.values,
            "why": plan.resolved.why,
            "estimate": dataclasses.asdict(plan.estimate),
        }
        return Response(PlanOut(shown).data)


class JobsView(GenericAPIView[Any]):
    """The project's training jobs, newest first."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = JobOut
    waits = True
    unread: ClassVar = ("given", "grader", "resolved", "why")

    @extend_schema(
        parameters=[
            OpenApiParameter("phase", str, enum=Phase.values),
            OpenApiParameter("search", str, description="a part of the name, in any case"),
        ],
        responses=JobOut(many=True),
    )
    def get(self, request: Request) -> Response:
        phase = request.query_params.get("phase", "")
        found = services.jobs(project_id=request.user.project_id, phase=phase)
        if part := request.query_params.get("search"):
            found = found.filter(name__icontains=part)
        page = self.paginate_queryset(found.defer(*UNSHOWN))
        return self.get_paginated_response(jobs_out(page or []))

    @extend_schema(request=JobIn, responses={201: JobOut}, parameters=[KEY_HEADER])
    def post(self, request: Request) -> Response:
        job = services.create_job(
            project_id=request.user.project_id,
            ask=_ask(request),
            now=timezone.now(),
            made_by=request.user.user_name,
            key_id=request.user.key_id,
            idempotency_key=http.idempotency_key(request),
        )
        return Response(job_out(job), status=201)
