"""One job: its state, its end, and what it tells."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import UUID

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.runs import http
from slipway.tenancy.permissions import MayChange
from slipway.training import services
from slipway.training.api.shapes import CheckpointsOut, JobOut, MetricsOut, job_out
from slipway.training.models import TrainingJob


class OfOneJob(GenericAPIView[Any]):
    """A route below one job of the caller's project; another project's job is a 404."""

    permission_classes: ClassVar = [MayChange]
    serializer_class = JobOut

    def job(self) -> TrainingJob:
        return services.job(project_id=self.request.user.project_id, job_id=self.kwargs["job_id"])


class JobView(OfOneJob):
    @extend_schema(responses=JobOut)
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(job_out(self.job()))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, job_id: UUID) -> Response:
        """Deletes curves, logs and checkpoints; a version made from them stays."""
        services.delete(self.job(), now=timezone.now(), by=request.user.user_name)
        return Response(status=204)


class CancelView(OfOneJob):
    """Ends the job; checkpoints stay, so that a retry resumes."""

    @extend_schema(request=None, responses=JobOut)
    def post(self, request: Request, job_id: UUID) -> Response:
        job = self.job()
        services.cancel(job, now=timezone.now(), by=request.user.user_name)
        return Response(job_out(job))


class PauseView(OfOneJob):
    """Stops the job at its latest checkpoint and gives its place away, until it is resumed."""

    @extend_schema(request=None, responses=JobOut)
    def post(self, request: Request, job_id: UUID) -> Response:
        job = self.job()
        services.pause(job, now=timezone.now(), by=request.user.user_name)
        return Response(job_out(job))


class ResumeView(OfOneJob):
    """Queues a paused job again, if its budgets have room for the rest of it."""

    @extend_schema(request=None, responses=JobOut)
    def post(self, request: Request, job_id: UUID) -> Response:
        job = self.job()
        services.resume(job, now=timezone.now(), by=request.user.user_name)
        return Response(job_out(job))


class RetryView(OfOneJob):
    """Queues a failed or cancelled job again; it resumes from its latest checkpoint."""

    @extend_schema(request=None, responses=JobOut)
    def post(self, request: Request, job_id: UUID) -> Response:
        job = self.job()
        services.retry(job, now=timezone.now(), by=request.user.user_name)
        return Response(job_out(job))


class EventsView(OfOneJob):
    """Moves, stages, checkpoints and warnings of the job, newest first."""

    serializer_class = http.EventOut

    @extend_schema(responses=http.EventOut(many=True))
    def get(self, request: Request, job_id: UUID) -> Response:
        page = self.paginate_queryset(http.events(self.job()))
        return self.get_paginated_response(http.EventOut(page or [], many=True).data)


class LogsView(OfOneJob):
    """Log lines, oldest first; to follow, ask again with `next_cursor` while `live` is true."""

    @extend_schema(
        parameters=[OpenApiParameter("cursor", str), OpenApiParameter("limit", int)],
        responses=http.LogsOut,
    )
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(http.LogsOut(http.logs(self.job(), request)).data)


class MetricsView(OfOneJob):
    """Curves: the names there are, and the points of those asked for (`name` may be repeated)."""

    @extend_schema(
        parameters=[
            OpenApiParameter("name", str, many=True),
            OpenApiParameter("from_step", int),
            OpenApiParameter("to_step", int),
            OpenApiParameter("most", int, description="about so many points of each curve"),
        ],
        responses=MetricsOut,
    )
    def get(self, request: Request, job_id: UUID) -> Response:
        job = self.job()
        shown = {"names": services.metric_names(job), "data": _points(job, request)}
        return Response(MetricsOut(shown).data)


class MetricsCsvView(OfOneJob):
    """The same points as CSV: name, step, value, at."""

    @extend_schema(
        parameters=[
            OpenApiParameter("name", str, many=True),
            OpenApiParameter("from_step", int),
            OpenApiParameter("to_step", int),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, job_id: UUID) -> StreamingHttpResponse:
        points = _points(self.job(), request)
        return StreamingHttpResponse(
            _csv(points),
            content_type="text/csv; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="metrics-{job_id}.csv"'},
        )


def _points(job: TrainingJob, request: Request) -> Any:
    return services.metric_points(
        job,
        names=request.query_params.getlist("name"),
        from_step=http.whole(request, "from_step", default=0) or 0,
        to_step=http.whole(request, "to_step", default=None),
        most=http.whole(request, "most", default=None, least=2),
    )


class _Echo:
    """What csv.writer writes to: gives the line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def _csv(points: Any) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["name", "step", "value", "at"])
    for point in points:
        value = "" if point.value is None else repr(point.value)
        yield writer.writerow([point.name, point.step, value, point.at.isoformat()])


class CheckpointsView(OfOneJob):
    """Complete checkpoints with the metrics at their step, earliest first."""

    @extend_schema(responses=CheckpointsOut)
    def get(self, request: Request, job_id: UUID) -> Response:
        return Response(CheckpointsOut({"data": services.checkpoints(self.job())}).data)
