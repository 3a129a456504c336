"""What was used: totals by time, single records, and the record of one request."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.errors import Detail, Invalid
from slipway.metering import services
from slipway.metering.models import UsageRecord

#: The longest span that totals are given for, and the one if nothing is said.
_SPANS = {
    "hour": (timedelta(days=31), timedelta(days=1)),
    "day": (timedelta(days=366), timedelta(days=30)),
}
_GROUPS_TEXT = ", ".join(services.GROUPS)


class FiltersIn(serializers.Serializer[Any]):
    """What narrows records and totals alike."""

    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    model = serializers.CharField(max_length=256, required=False)
    key_id = serializers.UUIDField(required=False)
    deployment_id = serializers.UUIDField(required=False)
    version_id = serializers.UUIDField(required=False)
    status = serializers.IntegerField(min_value=100, max_value=599, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("since") and attrs.get("until") and attrs["since"] >= attrs["until"]:
            raise serializers.ValidationError({"until": "must be later than since"})
        return attrs


class TotalOut(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    group = serializers.DictField()
    requests = serializers.IntegerField()
    failed = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()


class TotalsOut(serializers.Serializer[Any]):
    data = TotalOut(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class RecordOut(serializers.ModelSerializer[UsageRecord]):
    at = serializers.DateTimeField(source="created_at")

    class Meta:
        model = UsageRecord
        fields = [
            "request_id",
            "at",
            "key_id",
            "deployment_id",
            "version_id",
            "model",
            "endpoint",
            "status",
            "stream",
            "prompt_tokens",
            "completion_tokens",
            "estimated",
            "latency_ms",
            "first_byte_ms",
        ]


def _filters(request: Request) -> dict[str, Any]:
    given = FiltersIn(data=request.query_params)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


class UsageView(GenericAPIView[Any]):
    """Requests and tokens per day or hour (UTC), grouped as wished."""

    serializer_class = TotalsOut
    pagination_class = None

    @extend_schema(
        parameters=[
            FiltersIn,
            OpenApiParameter("bucket", str, enum=list(services.BUCKETS), default="day"),
            OpenApiParameter(
                "group_by", str, description=f"Comma-separated: {_GROUPS_TEXT}", default="model"
            ),
        ],
        responses=TotalsOut,
    )
    def get(self, request: Request) -> Response:
        bucket = request.query_params.get("bucket", "day")
        if bucket not in services.BUCKETS:
            raise Invalid(
                f"bucket must be one of {', '.join(services.BUCKETS)}.",
                Detail(field="bucket", rule="one of hour, day", value=bucket, fix="day"),
            )
        group_by = [
            name for name in request.query_params.get("group_by", "model").split(",") if name
        ]
        if len(set(group_by)) < len(group_by) or not set(group_by) <= set(services.GROUPS):
            raise Invalid(
                f"group_by must be different names out of {_GROUPS_TEXT}.",
                Detail(field="group_by", rule=f"out of {_GROUPS_TEXT}", value=",".join(group_by)),
            )
        filters = _filters(request)
        longest, usual = _SPANS[bucket]
        until = filters.setdefault("until", timezone.now())
        since = filters.setdefault("since", until - usual)
        if until - since > longest:
            raise Invalid(
                f"Totals by {bucket} are given for at most {longest.days} days at a time.",
                Detail(field="since", rule=f"until - {longest.days} days or later", value=since),
            )
        records = services.records_of(project_id=request.user.project_id, **filters)
        found = services.totals(records=records, bucket=bucket, group_by=group_by)
        return Response(TotalsOut({"data": found, "next_cursor": None}).data)


class RecordsView(GenericAPIView[Any]):
    """Single records, newest first."""

    serializer_class = RecordOut
    queryset = UsageRecord.objects.none()

    @extend_schema(parameters=[FiltersIn], responses=RecordOut(many=True))
    def get(self, request: Request) -> Response:
        records = services.records_of(project_id=request.user.project_id, **_filters(request))
        page = self.paginate_queryset(records)
        return self.get_paginated_response(RecordOut(page, many=True).data)


class RequestView(GenericAPIView[Any]):
    """One request by the `x-request-id` of its answer: which deployment and version answered."""

    serializer_class = RecordOut

    def get(self, request: Request, request_id: str) -> Response:
        record = services.record_of(project_id=request.user.project_id, request_id=request_id)
        return Response(RecordOut(record).data)
