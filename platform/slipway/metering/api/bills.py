"""Costs by anything, and bills as JSON, CSV and PDF, over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from slipway.core.errors import Detail, Invalid
from slipway.metering.services import bills, rollups
from slipway.tenancy import services as tenancy
from slipway.tenancy.services import Level

_MONEY: dict[str, Any] = {"max_digits": 24, "decimal_places": 6}
_GROUPS = ("project_id", "key_id", "model", "kind")
_LONGEST = timedelta(days=366)


class CostsIn(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    bucket = serializers.ChoiceField(["hour", "day"], default="day")
    everywhere = serializers.BooleanField(
        default=False, help_text="All projects of the organisation, not only this one."
    )
    group_by = serializers.CharField(
        default="model", help_text=f"Comma-separated: {', '.join(_GROUPS)}"
    )


class CostOut(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    group = serializers.DictField()
    cost = serializers.DecimalField(**_MONEY)


class CostsOut(serializers.Serializer[Any]):
    data = CostOut(many=True)
    total = serializers.DecimalField(**_MONEY)
    currency = serializers.CharField()
    next_cursor = serializers.CharField(allow_null=True)


class CostsView(GenericAPIView[Any]):
    """Costs per hour or day (UTC) by project, key, model and kind of use."""

    module = "money"
    serializer_class = CostsOut
    pagination_class = None

    @extend_schema(parameters=[CostsIn], responses=CostsOut)
    def get(self, request: Request) -> Response:
        given = CostsIn(data=request.query_params)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        until = rollups.hour_of(asked.get("until") or timezone.now()) + timedelta(hours=1)
        since = rollups.hour_of(asked.get("since") or until - timedelta(days=30))
        names = [name for name in asked["group_by"].split(",") if name]
        if not set(names) <= set(_GROUPS):
            raise Invalid(
                f"group_by must be names out of {', '.join(_GROUPS)}.",
                Detail(field="group_by", rule=", ".join(_GROUPS), value=asked["group_by"]),
            )
        if not timedelta(0) < until - since <= _LONGEST:
            raise Invalid(
                "since must be before until, by at most 366 days.",
                Detail(field="since", rule="until - 366 days or later", value=str(since)),
            )
        found, total = bills.grouped(
            organisation_id=request.user.organisation_id,
            project_ids=_projects(request, everywhere=asked["everywhere"]),
            since=since,
            until=until,
            bucket=asked["bucket"],
            group_by=names,
        )
        body = {"data": found, "total": total, "currency": settings.CURRENCY, "next_cursor": None}
        return Response(CostsOut(body).data)


def _projects(request: Request, *, everywhere: bool) -> list[Any]:
    if not everywhere:
        return [request.user.project_id]
    request.user.check_reach("organisation", Level.READ)
    own = tenancy.projects_of_organisation(organisation_id=request.user.organisation_id)
    return [project.id for project in own]


class LineOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    start = serializers.DateTimeField()
    project = serializers.CharField()
    project_id = serializers.UUIDField()
    key = serializers.CharField()
    key_id = serializers.UUIDField()
    model = serializers.CharField()
    kind = serializers.CharField()
    quantity = serializers.IntegerField()
    amount = serializers.DecimalField(**_MONEY)
    per = serializers.IntegerField()
    cost = serializers.DecimalField(**_MONEY)


class BillOut(serializers.Serializer[Any]):
    organisation = serializers.CharField()
    month = serializers.CharField()
    #: False while the month is not over.
    final = serializers.BooleanField()
    currency = serializers.CharField()
    total = serializers.DecimalField(**_MONEY)
    sha256 = serializers.CharField(help_text="Of the CSV; the PDF carries it too.")
    lines = LineOut(many=True)


_EVERYWHERE = OpenApiParameter(
    "everywhere", bool, description="All projects of the organisation, not only this one."
)


def _bill(request: Request, month: str) -> bills.Bill:
    everywhere = request.query_params.get("everywhere", "").lower() in {"1", "true"}
    fact = tenancy.project_fact(project_id=request.user.project_id)
    return bills.bill(
        organisation_id=request.user.organisation_id,
        organisation=fact.organisation,
        project_ids=_projects(request, everywhere=everywhere),
        month=month,
        now=timezone.now(),
    )


class BillView(GenericAPIView[Any]):
    """The bill of a month (`2026-11`), line by line; each line names what it sums."""

    module = "money"
    serializer_class = BillOut

    @extend_schema(parameters=[_EVERYWHERE], responses=BillOut)
    def get(self, request: Request, month: str) -> Response:
        return Response(BillOut(_bill(request, month)).data)


class BillSignatureOut(serializers.Serializer[Any]):
    format = serializers.CharField()
    organisation = serializers.CharField()
    organisation_id = serializers.CharField()
    month = serializers.CharField()
    final = serializers.BooleanField()
    currency = serializers.CharField()
    total = serializers.CharField()
    lines = serializers.IntegerField()
    csv_sha256 = serializers.CharField()
    pdf_sha256 = serializers.CharField()
    signature = serializers.CharField(help_text="Ed25519, hex.")
    public_key = serializers.CharField(help_text="Hex; keep a copy of it apart.")


class BillSignatureView(BillView):
    """What `slipway bill verify` proves the CSV and the PDF with, offline."""

    serializer_class = BillSignatureOut

    @extend_schema(parameters=[_EVERYWHERE], responses=BillSignatureOut)
    def get(self, request: Request, month: str) -> Response:
        made = bills.signature_of(_bill(request, month))
        answer = Response(BillSignatureOut(made).data)
        answer["content-disposition"] = f'attachment; filename="bill-{month}.signature.json"'
        return answer


class TracedRowOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    created_at = serializers.DateTimeField()
    subject = serializers.CharField(help_text="The request's id, or what used it.")
    quantity = serializers.IntegerField()


class BillRowsView(GenericAPIView[Any]):
    """The rows of the ledger that one line of a bill sums, newest first."""

    module = "money"
    serializer_class = TracedRowOut

    @extend_schema(parameters=[_EVERYWHERE], responses=TracedRowOut(many=True))
    def get(self, request: Request, month: str, number: int) -> Response:
        made = _bill(request, month)
        page = self.paginate_queryset(bills.rows_of(made, number)) or []
        found = [bills.traced(row, made.lines[number - 1].kind) for row in page]
        return self.get_paginated_response(TracedRowOut(found, many=True).data)


class BillCsvView(BillView):
    @extend_schema(parameters=[_EVERYWHERE], responses={(200, "text/csv"): str})
    def get(self, request: Request, month: str) -> HttpResponse:
        return _file(bills.csv_of(_bill(request, month)).encode(), "text/csv", month, "csv")


class BillPdfView(BillView):
    @extend_schema(parameters=[_EVERYWHERE], responses={(200, "application/pdf"): bytes})
    def get(self, request: Request, month: str) -> HttpResponse:
        return _file(bills.pdf_of(_bill(request, month)), "application/pdf", month, "pdf")


def _file(content: bytes, kind: str, month: str, ending: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=kind)
    answer["content-disposition"] = f'attachment; filename="bill-{month}.{ending}"'
    return answer
